"""Wheels, and the platforms they fit: as uv, the kernel and wheel names call them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from slimbake.host.typed import toml_value

if TYPE_CHECKING:
    from packaging.tags import Tag

GLIBC = 41  # 2.41, of the runtime's Debian, 13
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}  # as the kernel and wheels call them


@dataclass(frozen=True, slots=True, order=True)
class Wheel:
    """One file of a package: for one platform, or for all."""

    file: str
    bytes: int | None  # None where the index does not say
    sha256: str  # hexadecimal; "" where whoever has the file does not say

    def runs_on(self, machine: str) -> bool:
        """Whether it is for a kind of machine (`x86_64`), or for every one."""
        platforms = self.file.removesuffix(".whl").rpartition("-")[2].split(".")
        return any(name == "any" or name.endswith(f"_{machine}") for name in platforms)


@dataclass(frozen=True, slots=True)
class Located:
    """A wheel, and where it can be had now: an address that no lock ever holds."""

    wheel: Wheel
    url: str

    @property
    def local(self) -> bool:
        """Whether it lies in a folder of this machine, and may not be upstream's."""
        return is_file(self.url)


def is_file(url: str) -> bool:
    """Whether an address is of a file of this machine."""
    return url.lower().startswith("file:")


def file_path(url: str) -> str:
    """The path of a file of this machine."""
    return unquote(urlsplit(url).path)


def parse_pylock(text: str) -> dict[str, tuple[Located, ...]]:
    """The wheels of each package in a pylock.toml (PEP 751) that was resolved for one platform."""
    wheels = {}
    for package in toml_value(text).get("packages", []):
        if package.get("wheels"):
            wheels[package["name"]] = tuple(map(_located, package["wheels"]))
    return wheels


def _located(wheel: Mapping[str, Any]) -> Located:
    url = wheel.get("url") or f"file://{wheel['path']}"
    file = wheel.get("name") or unquote(urlsplit(url).path).rpartition("/")[2]
    return Located(Wheel(file, wheel.get("size"), wheel.get("hashes", {}).get("sha256", "")), url)


def marker(platform: str) -> str:
    """The environment marker (PEP 508) that holds on `linux/amd64` and nowhere else."""
    return f'platform_machine == "{MACHINES[platform]}"'


def uv_platform(platform: str) -> str:
    """uv's name for it; its newest is 2.40."""
    return f"{MACHINES[platform]}-manylinux_2_40"


@cache
def tags(python: str, platform: str) -> Mapping[Tag, int]:
    """The tags of wheels that CPython `python` ("3.11") loads there; the lower its number, the
    better one fits.
    """
    from packaging.tags import compatible_tags, cpython_tags  # 6 ms, for whoever resolves

    major, minor = (int(part) for part in python.split("."))
    machine = MACHINES[platform]
    platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in range(GLIBC, 4, -1)]
    platforms += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    platforms.append(f"linux_{machine}")
    version = (major, minor)
    ordered = [*cpython_tags(version, platforms=platforms)]
    ordered += compatible_tags(version, f"cp{major}{minor}", platforms)
    ranks: dict[Tag, int] = {}
    for rank, tag in enumerate(ordered):
        ranks.setdefault(tag, rank)
    return ranks


def fit(file: str, python: str, platform: str) -> int | None:
    """How well a wheel fits there, by its name: the lower, the better; None where it does not."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    rank_of = tags(python, platform)
    try:
        return min(
            (rank_of[tag] for tag in parse_wheel_filename(file)[3] if tag in rank_of), default=None
        )
    except InvalidWheelFilename:
        return None
