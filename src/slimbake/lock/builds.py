"""Builds of torch: CUDA is asked for by name, and what brings it without is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from slimbake.config import requirement_places
from slimbake.config.model import Requirements
from slimbake.config.naming import CPU
from slimbake.config.places import RequirementPlaces
from slimbake.config.pyproject import PYPROJECT, SETUP_CFG, SETUP_PY
from slimbake.console.tables import counted, readable, some
from slimbake.errors import ManifestError, Problem
from slimbake.fleet.model import Base, Fleet, Scope, Service
from slimbake.lock.explain import Locked, ResolutionError, way
from slimbake.lock.model import Pin

_SHOWN = 6  # names of packages or scopes
# `nvidia-ml-py` is Python that asks a driver, and harmless.
_CUDA = re.compile(r"nvidia-(?!ml-py$).+|triton")


def is_cuda(pin: Pin) -> bool:
    """Whether a package is NVIDIA's, triton, or a build for CUDA of another."""
    return bool(_CUDA.fullmatch(pin.name) or re.search(r"\+cu\d", pin.version))


def refuse_cuda(fleet: Fleet, locked: Locked) -> None:
    """Raise ManifestError where bases or services with the CPU build of torch would hold packages of
    CUDA: one problem for each requirement that brings them, in the lock where they come in.
    """
    every: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    owners = []
    for owner in every:
        pins = locked.get(owner.scope.name, ())
        # What an export's base brings, the base that it exports for brings too.
        if owner.scope.torch == CPU and owner.scope.kind != "export" and any(map(is_cuda, pins)):
            owners.append(owner)
    if not owners:
        return
    places = requirement_places(fleet.manifest.file)
    problems = [problem for owner in owners for problem in _problems(owner, locked, places)]
    raise ManifestError.of(fleet.manifest.file.name, problems)


def _problems(
    owner: Base | Service, locked: Locked, places: RequirementPlaces
) -> Iterator[Problem]:
    """What is wrong with one base or service. Its own requirements of CUDA packages are one problem a
    file: a compiled list has a dozen of them.
    """
    scope = owner.scope
    entry = ("bases" if isinstance(owner, Base) else "services", owner.entry)
    brought: dict[tuple[str, str], list[tuple[Problem, tuple[str, ...], Pin]]] = {}
    for pin in filter(is_cuda, locked[scope.name]):
        leading = way(pin.name, scope, locked)
        place = places.of(entry, owner.variant, *_asked(scope.asks, leading))
        requirement = leading[0] if leading[1:] else ""
        brought.setdefault((place.file, requirement), []).append((place, leading, pin))
    for (_, requirement), found in brought.items():
        place = min((place for place, *_ in found), key=lambda place: (place.line, place.column))
        shortest = min((leading for _, leading, _ in found), key=len)
        pins = [pin for *_, pin in found]
        size = readable(sum(pin.bytes or 0 for pin in pins))
        names = some([f"{pin.name}=={pin.version}" for pin in pins], _SHOWN)
        cuda = f"{counted(len(pins), 'CUDA package')}, {size} to download: {names}"
        if requirement:
            message = f"{' -> '.join(shortest[:-1])} brings {scope.name} {cuda}"
            without = f"require a package without CUDA in place of {requirement}"
        else:
            message = f"{scope.name} asks for {cuda}"
            without = "remove them here: what runs on CPUs needs none of them"
        hint = f"if it runs on a GPU, write `torch: cuda` in {_speaker(owner)}\nelse {without}"
        yield Problem(place.file, place.line, place.column, place.path, message, hint)


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
    return f"bases.{owner.bases[-1].entry}" if owner.bases else f"services.{owner.entry}"


def refuse_no_torch(scopes: Sequence[Scope], locked: Locked) -> None:
    """Raise ResolutionError where CUDA is asked for, and nothing that is locked with it needs torch or
    has a package of CUDA.
    """
    having = {
        scope.torch
        for scope in scopes
        if any(pin.name.startswith("torch") or is_cuda(pin) for pin in locked[scope.name])
    }
    without = [scope for scope in scopes if scope.torch != CPU and scope.torch not in having]
    if without:
        raise ResolutionError(
            f"`torch: {without[0].torch}` chooses a build of torch, and no package of"
            f" {some([scope.name for scope in without], _SHOWN)} needs torch",
            "add torch to the requirements, or remove this key",
        )
