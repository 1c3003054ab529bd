"""A Debian machine for tests, which can be told apart from the one they run on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slimbake.aptsources import AptSource
from slimbake.machine import Machine
from slimbake.pipconf import Packages

MIRROR = AptSource(
    uris=("http://mirror.example/debian",),
    suites=("trixie", "trixie-updates"),
    components=("main", "contrib"),
    signed_by="/usr/share/keyrings/debian-archive-keyring.pgp",
)
SECURITY = replace(MIRROR, uris=("http://mirror.example/debian-security",), suites=("trixie-security",))

DEBIAN = Machine(
    system="debian",
    system_version="13",
    codename="trixie",
    root=True,
    packages=Packages(),
    ca_bundle=None,
    proxies=(),
    apt_sources=(MIRROR, SECURITY),
    disk_free=80_000_000_000,
)


def debian(**changes: Any) -> Machine:
    """The machine with some of its settings changed."""
    return replace(DEBIAN, **changes)
