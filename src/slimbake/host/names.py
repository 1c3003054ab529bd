"""Names of services, as compose files and manifests have them. Pure."""

from __future__ import annotations

import re


def manifest_name(name: str) -> str:
    """What a service of a compose file is called in a manifest, where `api_v2` is `api-v2`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
