"""Locks as values. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from slimbake.fleet.model import Fleet, Scope
from slimbake.host.wheels import MACHINES, Wheel
from slimbake.inside.locked import machines_of

FORMAT = 4  # of lock files: another one makes every lock stale


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One exact package."""

    name: str
    version: str
    wheels: tuple[Wheel, ...] = ()
    # the packages of its scope and of those below that need it; "" = asked for there
    via: tuple[str, ...] = ()
    marker: str = ""  # PEP 508, where a platform alone needs it
    built: str = ""  # the origin of the sources that its wheel is built from here; "" = of an index

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(f"sha256:{wheel.sha256}" for wheel in self.wheels if wheel.sha256)

    @property
    def machines(self) -> tuple[str, ...]:
        """The kinds of machines that alone have it, as `uname -m` says; none where every one does."""
        return machines_of(self.marker)

    def on(self, platform: str) -> bool:
        """Whether a platform has it."""
        return not self.marker or MACHINES[platform] in self.machines

    @property
    def bytes(self) -> int | None:
        """Of its largest wheel, since of those for several platforms each image has one; None where
        the index says none.
        """
        sizes = [wheel.bytes for wheel in self.wheels if wheel.bytes is not None]
        return max(sizes, default=None)


def locked_scopes(fleet: Fleet) -> tuple[Scope, ...]:
    """The scopes that have a lock of packages, each after those whose versions it takes. What carries
    weights, and what builds a local package, has one of its own.
    """
    scopes = [base.scope for base in fleet.bases]
    for service in fleet.services:
        if service.scope.installs:
            scopes.append(service.scope)
    for weights in fleet.weights:
        if weights.source == "package" and not weights.export:
            scopes.append(weights.scope)
    scopes += [package.scope for package in fleet.packages]
    return tuple(scopes)


def settled(scope: Scope) -> tuple[Scope, ...]:
    """The scopes whose versions a scope takes: those below it first."""
    return tuple(dict.fromkeys((*scope.chain, *scope.agrees)))


def with_settled(fleet: Fleet, names: Iterable[str]) -> set[str]:
    """These locks, by their names, and those whose versions they take."""
    wanted = {*names}
    for scope in reversed(locked_scopes(fleet)):  # each is after those whose versions it takes
        if scope.lock in wanted:
            wanted |= {below.lock for below in settled(scope)}
    return wanted


def question(scope: Scope, projects: Mapping[str, str], base_digests: Iterable[str]) -> str:
    """The digest of all that a lock answers, less the indexes.

    The names of scopes count for nothing, nor does their order; what they ask for and the locks of
    the scopes below do. `projects`: the path of each local package -> the text of its
    pyproject.toml, setup.cfg and setup.py; `base_digests`: the digests of those locks.
    """
    asks = scope.asks
    constraints = sorted(constraint.spec for constraint in asks.constraints)
    constraints += [f"override {spec}" for spec in sorted(asks.overrides)]
    inputs = [
        FORMAT,
        scope.python.version,
        scope.torch,
        list(scope.platforms),
        [*sorted(asks.specs), *asks.by_file[1:]],
        sorted((package.name, projects[package.path]) for package in asks.packages),
        sorted((name, sorted(extras)) for name, extras in asks.extras),
        constraints,
        sorted((hashed.name, sorted(hashed.sha256)) for hashed in asks.hashes),
        bool(asks.prereleases),
        list(base_digests),
    ]
    return text_digest(json.dumps(inputs))


def text_digest(text: str) -> str:
    """The SHA-256 of a text, as registries write it."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def merged(pins_of: Mapping[str, Iterable[Pin]]) -> tuple[Pin, ...]:
    """One scope's pins on several platforms as one lock: marker of a platform -> the pins there.

    A package that all of them have is one pin, with the wheels of each.
    """
    packages: dict[tuple[str, str, str], dict[str, Pin]] = {}
    for marker, pins in pins_of.items():
        for pin in pins:
            packages.setdefault((pin.name, pin.version, pin.built), {})[marker] = pin
    merged_pins = []
    for pin_of in packages.values():
        wheels: set[Wheel] = set()
        via: set[str] = set()
        for pin in pin_of.values():
            wheels.update(pin.wheels)
            via.update(pin.via)
        marker = "" if len(pin_of) == len(pins_of) else " or ".join(sorted(pin_of))
        whole = replace(pin, wheels=tuple(sorted(wheels)), via=tuple(sorted(via)), marker=marker)
        merged_pins.append(whole)
    return tuple(sorted(merged_pins))
