"""What an image holds, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from slimbake.errors import SetupError
from slimbake.host.typed import WRONG, json_value, typed


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
    machine: str  # x86_64
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


def parse_contents(text: str) -> InstalledContents:
    """What the program `contents` of check.pyz printed in an image. Raises SetupError for anything else."""
    try:
        contents = json_value(text)
        distributions = []
        for entry in contents["distributions"]:
            names = {key: canonicalize_name(entry[key]) for key in ("name", "within")}
            distributions.append(typed(Distribution, {**entry, **names}))
        fields = {
            "python": contents["python"],
            "machine": contents["machine"],
            "system": contents["system"]["name"],
            "release": contents["system"]["version"],
            "debian": tuple(typed(DebianPackage, package) for package in contents["debian"]),
            "distributions": tuple(distributions),
        }
        return typed(InstalledContents, fields)
    except WRONG as error:
        raise SetupError(f"what the image contains cannot be read: {error}") from None
