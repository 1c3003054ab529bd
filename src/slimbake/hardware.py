"""The machine that something was measured on: no figure means anything without it."""

from __future__ import annotations

import os
import platform


def hardware() -> str:
    """The machine in a line."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"
