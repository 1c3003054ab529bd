"""What becomes of each layer of packages: the rules that make it smaller, and its warm list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slimbake.catalogue import Rule, requested, rules
from slimbake.config.naming import WARM
from slimbake.console import Console
from slimbake.errors import UsageError
from slimbake.fleet.model import Base, Fleet, Layer, Service
from slimbake.host.files import content
from slimbake.lock.locks import Locks
from slimbake.lock.text import names_packages
from slimbake.warm.compilers import compilers
from slimbake.warm.lists import parse_warm


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

    @cached_property
    def warm(self) -> Mapping[str, tuple[str, ...]]:
        """The lines of each warm list that lies in the repository, by the layer's lock.

        Raises UsageError for a file that is no such list.
        """
        if not (self.fleet.root / WARM).is_dir():
            return {}
        lists = {name: read_warm(self.fleet.root, name) for name in self.optimised}
        return {name: lines for name, lines in lists.items() if lines is not None}

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


def read_warm(root: Path, layer: str) -> tuple[str, ...] | None:
    """The warm list of a layer as it lies in the repository; None where there is none.

    Raises UsageError for a file that is no such list.
    """
    file = root / WARM / f"{layer}.txt"
    if not file.is_file():
        return None
    try:
        return parse_warm(content(root, f"{WARM}/{file.name}").decode())
    except ValueError as error:
        raise UsageError(
            f"{WARM}/{file.name}: {error}",
            "restore it from Git, or remove it and run `slimbake lock --warm`",
        ) from None


def remove_lists(fleet: Fleet, console: Console) -> None:
    """Remove the warm lists of layers that a fleet does not have."""
    every: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    layers = {base.layer.lock for base in every}
    for file in sorted((fleet.root / WARM).glob("*.txt")):
        if file.stem not in layers:
            file.unlink()
            console.say(f"{WARM}/{file.name} is removed: there is no such layer")
