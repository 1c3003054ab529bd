"""Where a repository is asked for, by the name of its images, as Docker reads it. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

# Docker's own names
_HUB, _HUB_HOST, _HUB_LOGIN = "docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"
_HUB_NAMES = (_HUB, "index.docker.io")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One repository of one registry."""

    host: str  # whom to ask, with the port
    path: str  # the repository there
    login: str  # under which name Docker's configuration has the account
    plain: bool  # without TLS, as Docker asks a registry on loopback

    @property
    def root(self) -> str:
        """The address of the registry's API."""
        return f"{'http' if self.plain else 'https'}://{self.host}/v2/"

    @property
    def url(self) -> str:
        """The address of the repository."""
        return f"{self.root}{self.path}"


def host(name: str) -> str:
    """The registry that an image's name begins with."""
    first = _first(name)
    if not first or first in _HUB_NAMES:
        return _HUB
    return first


def endpoint(name: str) -> Endpoint:
    """The address of an image's repository; `name`: without its tag."""
    registry = host(name)
    path = name
    if _first(name):
        path = name.partition("/")[2]
    if registry != _HUB:
        return Endpoint(registry, path, registry, is_loopback(registry))
    if "/" not in path:
        path = f"library/{path}"
    return Endpoint(_HUB_HOST, path, _HUB_LOGIN, False)


def _first(name: str) -> str:
    """The first part of a name, if it is a host: a user's name has no dot, no colon and no capital
    letter.
    """
    first, slash, _ = name.partition("/")
    is_host = first == "localhost" or "." in first or ":" in first or first != first.lower()
    return first if slash and is_host else ""


def is_loopback(registry: str) -> bool:
    """Whether the host of `HOST[:PORT][/PATH]` is this machine; as Docker does, such a one is asked
    without TLS.
    """
    address = registry.partition("/")[0]
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    else:
        address = address.partition(":")[0]
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
