"""What becomes of each layer of packages: the rules that make it smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from slimbake.catalogue import Rule, requested, rules
from slimbake.fleet.model import Base, Fleet, Layer, Service
from slimbake.layers.compilers import compilers
from slimbake.lock.locks import Locks
from slimbake.lock.text import names_packages


@dataclass(frozen=True)
class Optimisation:
    """What becomes of the layers of a fleet; decided when it is first asked for."""

    fleet: Fleet
    locks: Locks

    @cached_property
    def rules(self) -> Mapping[str, tuple[Rule, ...]]:
        """The rules of each layer that has any, by its lock.

        Where an image on a layer may have a compiler, rules with the condition `no-compiler` are
        left out: the step that makes the layer cannot see what lies above it.
        """
        every: tuple[Base | Service, ...] = (*self.fleet.bases, *self.fleet.services)
        file = self.fleet.manifest.file.name
        rules_of = {}
        for owner in every:
            layer = owner.layer
            removals = requested(owner.removal, file, owner.place) if layer.installs else ()
            if layer.lock in self.optimised:
                compiles = self._compiles(layer)
                pins = [(pin.name, pin.version) for pin in self.locks.pins(layer.lock)]
                removals += tuple(
                    rule
                    for rule in rules()
                    if rule.concerns(pins) and not (compiles and "no-compiler" in rule.conditions)
                )
            if removals:
                rules_of[layer.lock] = removals
        return rules_of

    @cached_property
    def optimised(self) -> Mapping[str, Layer]:
        """The layers of packages that are optimised, by their locks: some service holds them, their locks
        name packages, and `optimize` is not `false`. Packages of the repository stay as they are.
        """
        generated = (service for service in self.fleet.services if service.dockerfile is None)
        every: tuple[Base | Service, ...] = (*self.fleet.bases, *generated)
        return {
            owner.layer.lock: owner.layer
            for owner in every
            if owner.optimize
            and owner.layer.services
            and owner.layer.installs
            and ((text := self.locks.text(owner.layer.lock)) is None or names_packages(text))
        }

    def _compiles(self, layer: Layer) -> bool:
        """Whether an image on a layer may have a compiler: what a Dockerfile of the user's own
        installs is not known.
        """
        on = [self.fleet.service(name) for name in layer.services]
        return any(
            service.dockerfile
            or any(layer.name in self._compiling for layer in service.layer.closure)
            for service in on
        )

    @cached_property
    def _compiling(self) -> frozenset[str]:
        """The layers that bring a compiler, by name."""
        every: tuple[Base | Service, ...] = (*self.fleet.bases, *self.fleet.services)
        return frozenset(
            owner.layer.name
            for owner in every
            if compilers(
                (
                    *(pin.name for pin in self.locks.pins(owner.layer.lock)),
                    *(deb.name for deb in self.locks.debs(owner.layer.system_lock)),
                )
            )
        )
