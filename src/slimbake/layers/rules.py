"""Which rules make the layers of each base and service smaller. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slimbake.catalogue import Rule, requested, rules
from slimbake.fleet.model import Base, Fleet, Scope, Service
from slimbake.layers.compilers import compilers
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin

NO_COMPILER = "no-compiler"


class Rules:
    """The rules for the layers of a fleet."""

    def __init__(self, fleet: Fleet, locks: Locks) -> None:
        self._fleet = fleet
        self._with_compiler = frozenset(_with_compiler(fleet, locks))

    def of(self, owner: Base | Service, pins: Sequence[Pin]) -> tuple[Rule, ...]:
        """The rules for a layer of a base or service that has these packages: what the manifest
        removes, and of the catalogue what concerns them.

        Where an image on it may have a compiler, rules with the condition `no-compiler` are left
        out: such a layer is another one, with another key.
        """
        chosen = list(requested(owner.removal, self._fleet.manifest.file.name, owner.place))
        if not owner.optimize:
            return tuple(chosen)
        compiles = self._compiles(owner.scope)
        versions = [(pin.name, pin.version) for pin in pins]
        for rule in rules():
            if compiles and NO_COMPILER in rule.conditions:
                continue
            if rule.concerns(versions):
                chosen.append(rule)
        return tuple(chosen)

    def _compiles(self, scope: Scope) -> bool:
        """Whether an image with the layers of a scope may have a compiler: as an image of `from` says,
        and what a Dockerfile of the user's own installs is not known.
        """
        for name in scope.services:
            service = self._fleet.service(name)
            if service.dockerfile:
                return True
            interpreter = self._fleet.interpreter(service.scope.runtime)
            if interpreter and interpreter.compilers:
                return True
            if any(part.name in self._with_compiler for part in service.scope.closure):
                return True
        return False


def _with_compiler(fleet: Fleet, locks: Locks) -> Iterable[str]:
    """The names of the scopes whose locks bring a compiler."""
    owners: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    for owner in owners:
        names = [pin.name for pin in locks.pins(owner.scope.lock)]
        names += [deb.name for deb in locks.debs(owner.scope.system_lock)]
        if compilers(names):
            yield owner.scope.name
