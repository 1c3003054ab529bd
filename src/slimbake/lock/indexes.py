"""The indexes that requirements name, and whose a package is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slimbake.config.model import IndexLine
from slimbake.config.naming import CPU
from slimbake.fleet.model import Fleet, Scope
from slimbake.host.pip import PackageSources, without_credentials
from slimbake.lock.explain import ResolutionError

if TYPE_CHECKING:
    from slimbake.lock.resolve import Needed

_PYPI = "pypi.org"  # installers ask it anyway
_TORCH = re.compile(r"//download\.pytorch\.org/whl/(?:\w+/)?(cpu|cu\d+)/?$")


def remarks(fleet: Fleet) -> Iterator[str]:
    """What files of requirements say and the manifest decides: pre-releases, and builds of torch."""
    scopes = [*(base.scope for base in fleet.bases), *(service.scope for service in fleet.services)]
    prereleases: dict[str, None] = {}
    builds: dict[IndexLine, str] = {}
    for scope in scopes:
        prereleases |= dict.fromkeys(scope.asks.prereleases)
        for line in scope.asks.indexes:
            build = _build_of(line)
            # The manifest decides about the build, unless it leaves it at the default.
            if build and scope.torch == CPU and build != CPU:
                builds[line] = build
    for file in prereleases:
        yield f"{file}: --pre allows pre-releases of all that is locked together with it"
    for line, build in builds.items():
        yield f"{_shown(line)} chooses a build of torch: say `torch: {build}` in the manifest"


def refuse_unknown_indexes(scope: Scope, packages: PackageSources) -> None:
    """Raise ResolutionError for an index that the requirements name and that neither this machine
    uses nor the manifest knows: its packages would be taken from another index, where anybody may
    have published others under their names.
    """
    if packages.no_index:
        return
    used = {packages.index_url, *packages.extra_index_urls, *packages.find_links}
    known = {_compared(address) for address in used}
    for address, names in packages.owners:
        if not names:
            known.add(_compared(address))
    unknown = []
    for line in scope.asks.indexes:
        if "://" not in line.address or _build_of(line):
            continue
        if urlsplit(line.address).hostname == _PYPI:
            continue
        if _compared(line.address) not in known:
            unknown.append(line)
    if not unknown:
        return
    address = unknown[0].address
    setting = "UV_FIND_LINKS" if unknown[0].said in ("-f", "--find-links") else "UV_INDEX"
    raise ResolutionError(
        "\n".join(
            f"{_shown(line)}: this machine does not use that index, and its packages would come from"
            " others"
            for line in unknown
        ),
        f"if it has packages that you require: {setting}={address}\n"
        "else remove the line, or say that nothing comes from there:"
        f" `lock: {{indexes: {{{address}: []}}}}`",
    )


def refuse_strangers(needed: Iterable[Needed], packages: PackageSources) -> None:
    """Raise ResolutionError for packages that another index gives than the manifest says."""
    for package in needed:
        found = without_credentials(package.index)
        if not found.startswith("http"):  # a folder of wheels is this machine's own
            continue
        for address, patterns in packages.owners:
            owned = any(fnmatchcase(package.name, pattern) for pattern in patterns)
            if owned and _compared(found) != _compared(address):
                raise ResolutionError(
                    f"{package.name} {package.version} comes from {found}, and the manifest has it"
                    f" from {address}",
                    f"let this machine use that index: UV_INDEX={address}\n"
                    f"or correct `lock: {{indexes: {{{address}: [{', '.join(patterns)}]}}}}`",
                )


def _compared(address: str) -> str:
    return without_credentials(address).rstrip("/")


def _shown(line: IndexLine) -> str:
    return f"{line.where}: {line.said} {line.address}"


def _build_of(line: IndexLine) -> str:
    """The build of torch that an index has alone; "" of others."""
    match = _TORCH.search(line.address)
    return match[1] if match else ""
