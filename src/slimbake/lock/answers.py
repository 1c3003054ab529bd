"""Reads what uv answers: requirements with annotations, and pylock.toml (PEP 751). Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from slimbake.lock.model import Wheel

_LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^#]*(?:# via"
    r" (?P<via>.*))?$"
)


@dataclass(frozen=True, slots=True)
class Needed:
    """One package of a resolution, and what needs it there."""

    name: str
    version: str
    via: tuple[str, ...]  # names of packages; "" = a requirement of ours


@dataclass(frozen=True, slots=True)
class Located:
    """A wheel, and where it can be had now: an address that no lock ever holds."""

    wheel: Wheel
    url: str

    @property
    def local(self) -> bool:
        """Whether it lies in a folder of this machine, and may not be upstream's."""
        return self.url.startswith("file:")


def parse_compiled(text: str) -> tuple[Needed, ...]:
    """`uv pip compile --annotation-style line`: `anyio==4.16.0  # via httpx, -r api.in`."""
    found = (_LINE.match(line) for line in text.splitlines())
    return tuple(
        Needed(line["name"], line["version"], _via(line["via"] or "")) for line in found if line
    )


def _via(text: str) -> tuple[str, ...]:
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    named = {
        "" if entry.startswith("-r ") else entry for entry in entries if not entry.startswith("-c ")
    }
    return tuple(sorted(named))


def parse_pylock(text: str) -> dict[str, tuple[Located, ...]]:
    """The wheels of each package, by the package's name, of a resolution for one platform: all that
    fit there.
    """
    packages = tomllib.loads(text).get("packages", [])
    return {
        package["name"]: tuple(map(_located, package["wheels"]))
        for package in packages
        if package.get("wheels")
    }


def _located(wheel: Mapping[str, Any]) -> Located:
    url = wheel.get("url") or f"file://{wheel['path']}"
    file = wheel.get("name") or unquote(urlsplit(url).path).rpartition("/")[2]
    return Located(Wheel(file, wheel.get("size"), wheel.get("hashes", {}).get("sha256", "")), url)
