"""Builds of torch: CUDA is asked for by name, and what brings it without is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from slimbake.config import requirement_places
from slimbake.config.model import Requirements
from slimbake.config.naming import CPU
from slimbake.config.places import RequirementPlaces
from slimbake.config.pyproject import PYPROJECT, SETUP_CFG, SETUP_PY
from slimbake.console.tables import counted, readable
from slimbake.errors import ManifestError, Problem
from slimbake.fleet.model import Base, Fleet, Scope, Service
from slimbake.inside.lines import some
from slimbake.lock.explain import Locked, ResolutionError, way
from slimbake.lock.model import Pin

_SHOWN = 6  # names of packages or scopes
# `nvidia-ml-py` is Python that asks a driver, and harmless.
_CUDA = re.compile(r"nvidia-(?!ml-py$).+|triton")


class _Brought(NamedTuple):
    """A package of CUDA, the way from a requirement to it, and where that is asked for."""

    place: Problem  # without a message
    leading: tuple[str, ...]
    pin: Pin


def is_cuda(pin: Pin) -> bool:
    """Whether a package is NVIDIA's, triton, or a build for CUDA of another."""
    return bool(_CUDA.fullmatch(pin.name) or re.search(r"\+cu\d", pin.version))


def refuse_cuda(fleet: Fleet, owner: Base | Service, locked: Locked) -> None:
    """Raise ManifestError where a base or service with the CPU build of torch would hold packages of
    CUDA: one problem for each requirement that brings them, in the lock where they come in.
    """
    # What an export's base brings, the base that it exports for brings too.
    if owner.scope.torch != CPU or owner.scope.kind == "export":
        return
    if any(map(is_cuda, locked.get(owner.scope.name, ()))):
        places = requirement_places(fleet.manifest.file)
        raise ManifestError.of(fleet.manifest.file.name, [*_problems(owner, locked, places)])


def _problems(
    owner: Base | Service, locked: Locked, places: RequirementPlaces
) -> Iterator[Problem]:
    """What is wrong with one base or service: one problem for each requirement that brings CUDA, and
    one for all CUDA packages that a file asks for itself, since a compiled list has a dozen.
    """
    scope = owner.scope
    entry = ("bases" if isinstance(owner, Base) else "services", owner.entry)
    brought: dict[tuple[str, str], list[_Brought]] = {}  # by file and requirement
    ways = {pin: way(pin.name, scope, locked) for pin in locked[scope.name] if is_cuda(pin)}
    # Of a scope that asks for triton itself, torch was looked for on the package index.
    on_index = ("triton",) in ways.values()
    for pin, leading in ways.items():
        if on_index and "torch" in leading[:-1]:
            continue
        asked, files = _asked(scope.asks, leading)
        place = places.of(entry, owner.variant, asked, files)
        requirement = asked
        if asked == pin.name:
            requirement = ""
        brought.setdefault((place.file, requirement), []).append(_Brought(place, leading, pin))
    for (_, requirement), found in brought.items():
        yield _problem(owner, requirement, found)


def _problem(owner: Base | Service, requirement: str, brought: Sequence[_Brought]) -> Problem:
    """What is wrong with one requirement of a file, "" for the CUDA packages that the file names."""
    scope = owner.scope
    place = min((each.place for each in brought), key=lambda place: (place.line, place.column))
    pins = [each.pin for each in brought]
    size = readable(sum(pin.bytes or 0 for pin in pins))
    names = some([f"{pin.name}=={pin.version}" for pin in pins], _SHOWN)
    packages = f"{counted(len(pins), 'CUDA package')}, {size} to download: {names}"
    if requirement:
        shortest = min((each.leading for each in brought), key=len)
        message = f"{' -> '.join(shortest[:-1])} brings {scope.name} {packages}"
        otherwise = f"require a package without CUDA in place of {requirement}"
        if "torch" in shortest[:-1]:
            otherwise = "add an index with the CPU build of torch: UV_INDEX=https://HOST/cpu"
    else:
        message = f"{scope.name} asks for {packages}"
        otherwise = "remove them here: what runs on CPUs needs none of them"
    hint = f"if this runs on a GPU, write `torch: cuda` in {_speaker(owner)}\nelse {otherwise}"
    return replace(place, message=message, hint=hint)


def _asked(asks: Requirements, leading: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """What is asked for at the beginning of a way, and the files that may say so: a package of the
    repository asks for what follows it.
    """
    projects = {package.name: package.path for package in asks.packages}
    if leading[0] not in projects:
        return leading[0], asks.files
    path = projects[leading[0]]
    return leading[1], tuple(f"{path}/{name}" for name in (PYPROJECT, SETUP_CFG, SETUP_PY))


def _speaker(owner: Base | Service) -> str:
    """Which entry of the manifest says the build of a base or service."""
    if isinstance(owner, Base):
        return f"bases.{owner.entry}"
    if owner.bases:
        return f"bases.{owner.bases[-1].entry}"
    return f"services.{owner.entry}"


def torch_builds(scopes: Sequence[Scope], locked: Locked) -> set[str]:
    """The builds of torch that something needs, or may need that is not locked yet."""
    builds = set()
    for scope in scopes:
        if scope.name not in locked or any(map(_needs_build, locked[scope.name])):
            builds.add(scope.torch)
    return builds


def _needs_build(pin: Pin) -> bool:
    return pin.name.startswith("torch") or is_cuda(pin)


def refuse_no_torch(scope: Scope, in_use: Collection[str]) -> None:
    """Raise ResolutionError where a scope asks for CUDA, and nothing that is locked with it needs
    torch or has a package of CUDA. `in_use`: the builds that something needs.
    """
    if scope.torch != CPU and scope.torch not in in_use:
        raise ResolutionError(
            f"`torch: {scope.torch}` chooses a build of torch, and no package of {scope.name} needs"
            " torch",
            "add torch to the requirements, or remove this key",
        )
