"""Whether a registry is this machine's own, by its name alone. Pure."""

from __future__ import annotations

import ipaddress


def is_loopback(registry: str) -> bool:
    """Whether the host of `HOST[:PORT][/PATH]` is this machine; as Docker does, such a one is asked
    without TLS.
    """
    host = registry.partition("/")[0]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
