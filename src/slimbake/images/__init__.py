"""What is in images: what their layers weigh and hold, and what grew."""

from __future__ import annotations

import platform

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def this_platform() -> str:
    """The platform of this machine, as images name it."""
    return f"linux/{_MACHINES.get(platform.machine(), platform.machine())}"
