"""What an image holds, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name

from slimbake.lock.model import Pin


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
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


def contents(found: Mapping[str, Any]) -> Contents:
    """What `inside/contents.py` printed."""
    distributions = (
        Distribution(canonicalize_name(d["name"]), d["version"], d["within"] and canonicalize_name(d["within"]))
        for d in found["distributions"]
    )
    return Contents(
        python=found["python"],
        system=found["system"]["name"],
        release=found["system"]["version"],
        debian=tuple(DebianPackage(p["name"], p["version"], p["architecture"]) for p in found["debian"]),
        distributions=tuple(distributions),
    )


def locked(pins: Iterable[Pin], layer: str, model: bool) -> tuple[Locked, ...]:
    """The packages of one lock."""
    return tuple(Locked(pin.name, pin.version, sha256(pin), layer, model) for pin in pins)


def sha256(pin: Pin) -> tuple[str, ...]:
    """The hashes of the files that may be installed for a pin, without their `sha256:`."""
    return tuple(value.removeprefix("sha256:") for value in pin.hashes)
