"""What an image holds, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.utils import canonicalize_name


@dataclass(frozen=True, slots=True)
class Distribution:
    """A Python distribution that is installed in an image."""

    name: str  # normalised as PEP 503 says
    version: str
    within: str = ""  # the distribution that carries this one as a part of itself, "" for none


@dataclass(frozen=True, slots=True)
class DebianPackage:
    name: str
    version: str  # with its epoch
    architecture: str
    # what Debian built it from, which its security tracker names: `zlib` of zlib1g
    source: str = field(default="", compare=False)
    source_version: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledContents:
    """What was found in an image."""

    python: str  # CPython's version
    system: str  # debian
    release: str  # 13
    debian: tuple[DebianPackage, ...]
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True)
class Locked:
    """A package as a lock has it."""

    name: str
    version: str
    sha256: tuple[str, ...]  # of the files that the lock allows; () = unresolved
    layer: str  # the lock's name
    model: bool = False  # it carries weights: only these are in the image
    # what weights are called that were exported from its own, and are there in their place
    form: str = ""


@dataclass(frozen=True, slots=True)
class WeightsFolder:
    """Weights that lie in the repository: files by their path, with their SHA-256."""

    name: str
    files: tuple[tuple[str, str], ...]
    form: str = ""  # as of a package


@dataclass(frozen=True, slots=True)
class SbomLocks:
    """All that the locks of an image hold."""

    packages: tuple[Locked, ...] = ()
    debian: Mapping[DebianPackage, str] = field(default_factory=dict)  # the SHA-256 of its .deb
    folders: tuple[WeightsFolder, ...] = ()


def parse_contents(found: Mapping[str, Any]) -> InstalledContents:
    """What `inside/contents.py` printed."""
    distributions = (
        Distribution(
            canonicalize_name(d["name"]),
            d["version"],
            d["within"] and canonicalize_name(d["within"]),
        )
        for d in found["distributions"]
    )
    return InstalledContents(
        python=found["python"],
        system=found["system"]["name"],
        release=found["system"]["version"],
        debian=tuple(
            DebianPackage(
                p["name"], p["version"], p["architecture"], p["source"], p["source_version"]
            )
            for p in found["debian"]
        ),
        distributions=tuple(distributions),
    )
