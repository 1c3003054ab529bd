"""Sources of Python packages that have no wheel: files of an index, files at an address, Git. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from slimbake.host.typed import toml_value

Kind = str  # "index", "address", "git"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """What the wheel of one package is made from, exactly."""

    name: str  # normalised
    version: str
    file: str  # what it is called in the wheelhouse
    sha256: str = ""  # hexadecimal; "" of Git, whose commit says as much
    bytes: int | None = None
    address: str = ""  # git+https://host/x.git@COMMIT, or https://...; "" = an index has it
    asked: str = ""  # the address as it was required, such as git+https://host/x.git@main
    requires: tuple[str, ...] = ()  # PEP 508: what builds it
    found: str = field(default="", compare=False)  # where an index has it now; in no lock

    @property
    def git(self) -> bool:
        """Whether it is a commit of a repository."""
        return self.address.startswith("git+")

    @property
    def wheel(self) -> bool:
        """Whether it is a wheel already, at an address."""
        return self.file.endswith(".whl")

    @property
    def origin(self) -> str:
        """All that tells it from other sources of this package, as one word."""
        place = self.address or self.file
        if self.sha256 and "#" not in self.address:
            return f"{place}#sha256={self.sha256}"
        return place

    @property
    def repository(self) -> tuple[str, str, str]:
        """Of Git: address, commit, and folder below it."""
        address, _, fragment = self.address.removeprefix("git+").partition("#")
        where, _, commit = address.rpartition("@")
        match = re.search(r"subdirectory=([^&]+)", fragment)
        return where, commit, match[1] if match else ""

    def text(self) -> str:
        """As one line of JSON."""
        fields = {key: value for key, value in asdict(self).items() if value and key != "found"}
        return json.dumps(fields, sort_keys=True)


def parse_source(fields: Mapping[str, Any]) -> Source | None:
    """A source from the fields that `Source.text` writes; None of others."""
    try:
        return replace(Source(**fields), requires=tuple(fields.get("requires", ())))
    except TypeError:
        return None


def parse_sources(text: str) -> dict[str, Source]:
    """The packages in a pylock.toml (PEP 751) that have sources only, or an address."""
    packages = toml_value(text).get("packages", [])
    sources = (_source(package) for package in packages if not package.get("wheels"))
    return {source.name: source for source in sources if source}


def _source(package: Mapping[str, Any]) -> Source | None:
    name, version = str(package["name"]), str(package.get("version", ""))
    if vcs := package.get("vcs"):
        fragment = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        commit = vcs["commit-id"]
        address = f"git+{vcs.get('url') or vcs.get('path')}@{commit}{fragment}"
        return Source(name, version, f"{name}-{commit}.tar.gz", address=address)
    if entry := package.get("archive"):
        return _file(name, version, entry, address=str(entry.get("url", "")))
    if entry := package.get("sdist"):
        return _file(name, version, entry)
    return None


def _file(name: str, version: str, entry: Mapping[str, Any], address: str = "") -> Source:
    url = str(entry.get("url") or f"file://{entry['path']}")
    file = entry.get("name") or unquote(urlsplit(url).path).rpartition("/")[2]
    if address and not file.startswith(name[:1]) and not file.endswith(".whl"):
        file = f"{name}-{file}"  # v1.2.tar.gz, as GitHub calls it
    sha256 = entry.get("hashes", {}).get("sha256", "")
    return Source(name, version, file, sha256, entry.get("size"), address, found=url)
