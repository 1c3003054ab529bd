"""The layers of packages of a fleet: one for each heavy wheel, one for the lighter rest of each lock,
in the order in which hosts share most. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from slimbake.catalogue import Rule
from slimbake.config.naming import rest_layer, wheel_layer
from slimbake.fleet.model import Base, Fleet, Service, Weights, installs
from slimbake.layers.model import FORMAT, Layer, Layering, Link
from slimbake.layers.order import ordered
from slimbake.layers.rules import Rules
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin

HEAVY = 250_000
"""Bytes of a wheel from which on it is a layer of its own: about 1 MB unpacked. bench/sharing.py compares bounds."""
LIMIT = 60
"""Layers of packages of an image, where the manifest says nothing: an engine takes 127 in all."""
WEIGHTS = 100_000_000
"""Bytes that weights count for the order, where no lock says what they have."""


def layering(fleet: Fleet, locks: Locks) -> Layering:
    """The layers of all bases and services whose locks name packages, or that were never locked."""
    return _Layering(fleet, locks).made()


class _Layering:
    def __init__(self, fleet: Fleet, locks: Locks) -> None:
        self._fleet, self._locks = fleet, locks
        self._rules = Rules(fleet, locks)
        self._limit = fleet.manifest.layers.limit or LIMIT
        self._layers: dict[str, Layer] = {}  # by key
        self._own: dict[str, list[Layer]] = {}  # scope -> what it adds to those below
        # scope -> how many bases and services stand on each other on it
        self._above: dict[str, int] = {}
        self._sizes: dict[str, int] = {}  # target -> bytes, as they count for the order

    def made(self) -> Layering:
        owners: list[Base | Service] = [*self._fleet.bases]
        owners += [service for service in self._fleet.services if not service.dockerfile]
        for owner in owners:
            chain = owner.scope.chain
            for place, part in enumerate(chain):
                above = len(chain) - place
                self._above[part.name] = max(above, self._above.get(part.name, 0))
        for owner in owners:  # each base after those below it
            self._own[owner.scope.name] = list(self._composed(owner))
        chains = {}
        for siblings in _by_parent(owners):
            chains.update(self._chains(siblings))
        return Layering(tuple(self._layers.values()), chains)

    def _composed(self, owner: Base | Service) -> Iterable[Layer]:
        """The layers of the packages that a base or service adds to what is below it."""
        scope = owner.scope
        if not installs(owner):
            return
        text = self._locks.text(scope.lock)
        pins = self._locks.pins(scope.lock)
        heavy = self._heavy(owner, pins)
        for pin in heavy:
            yield self._layer(owner, (pin,), pin.name)
        # A package may have other pins for other platforms.
        taken = {(pin.name, pin.marker) for pin in heavy}
        rest = tuple(pin for pin in pins if (pin.name, pin.marker) not in taken)
        if rest or text is None:
            yield self._layer(owner, rest, "")

    def _heavy(self, owner: Base | Service, pins: Sequence[Pin]) -> list[Pin]:
        """The packages that are layers of their own, as many as the limit leaves room for."""
        below = sum(len(self._own[part.name]) for part in owner.scope.chain)
        # The rest of its own lock, and of those of all that is on it.
        rests = 1 + self._above.get(owner.scope.name, 0)
        room = max(0, self._limit - below - rests)
        heavy = []
        for pin in pins:
            size = 0 if pin.built else pin.bytes or 0
            if size >= HEAVY:
                heavy.append((-size, pin.name, pin))
        return [pin for *_, pin in sorted(heavy)[:room]]

    def _layer(self, owner: Base | Service, pins: tuple[Pin, ...], package: str) -> Layer:
        """The layer of these packages; the same one wherever its key is the same. `package`: the one
        heavy wheel's, "" of a rest.
        """
        rules = self._rules.of(owner, pins)
        bytecode = owner.bytecode.of
        if bytecode == "rule" and not owner.optimize:
            bytecode = "all"
        if owner.scope.kind == "export":  # what exports starts once
            bytecode = "rule"
        never_locked = "" if pins else owner.scope.lock
        key = _key(pins, rules, bytecode, owner.scope.python.version, never_locked)
        if key not in self._layers:
            digits = key.partition(":")[2]
            targets = {}
            for part in owner.packages:
                if part.source:
                    targets[part.source.origin] = part.scope.name
            built = [pin for pin in pins if pin.built in targets]
            self._layers[key] = Layer(
                name=wheel_layer(package, digits) if package else rest_layer(owner.scope.lock),
                key=key,
                lock=owner.scope.lock,
                python=owner.scope.python,
                pins=pins,
                rules=rules,
                bytecode=bytecode,
                torch=_build(owner.scope.torch, pins),
                wheels=tuple(targets[pin.built] for pin in built),
                built_for=tuple((targets[pin.built], pin.machines) for pin in built if pin.marker),
            )
        layer = self._layers[key]
        # What changes most often lies on top of what is large.
        self._sizes[layer.name] = layer.bytes if package else 0
        return layer

    def _chains(self, siblings: Sequence[Base | Service]) -> dict[str, tuple[Link, ...]]:
        """What each of these adds to the one base below all of them, or to the runtime."""
        names: dict[str, list[str]] = {}
        heavy: set[str] = set()
        weights: set[str] = set()
        for owner in siblings:
            own = []
            for layer in self._own[owner.scope.name]:
                own.append(layer.name)
                if layer.name != rest_layer(layer.lock):
                    heavy.add(layer.name)
            if isinstance(owner, Service) and owner.laid:
                laid = owner.laid.scope.name
                weights.add(laid)
                own.append(laid)
                self._sizes[laid] = self._of_weights(owner.laid)
            names[owner.scope.name] = own
        chains = {}
        for scope, chain in ordered(names, self._sizes).items():
            chains[scope] = tuple(_links(chain, heavy, weights))
        return chains

    def _of_weights(self, weights: Weights) -> int:
        pins = self._locks.pins(weights.scope.lock)
        return sum(pin.bytes or 0 for pin in pins) or WEIGHTS


def _links(chain: Sequence[str], heavy: set[str], weights: set[str]) -> Iterable[Link]:
    """The layers of a chain. From the last heavy one on, what is small is copied onto what is below:
    to link it would cost a new file tree of the whole image.
    """
    last = -1
    for place, name in enumerate(chain):
        if name in heavy:
            last = place
    for place, name in enumerate(chain):
        yield Link(name, weights=name in weights, linked=place <= last)


def _by_parent(owners: Iterable[Base | Service]) -> Iterable[list[Base | Service]]:
    """Bases and services that stand on the same base. What exports models is no image, and shares
    nothing with one.
    """
    siblings: dict[tuple[str, ...], list[Base | Service]] = {}
    for owner in owners:
        chain = owner.scope.chain
        place: tuple[str, ...] = (chain[-1].name,) if chain else ("",)
        if owner.scope.kind == "export":
            place += (owner.name,)
        siblings.setdefault(place, []).append(owner)
    return siblings.values()


def _build(torch: str, pins: Iterable[Pin]) -> str:
    """The build of torch whose own index may have a wheel of these pins; "" where none is of it."""
    named = any(pin.version.endswith(f"+{torch}") for pin in pins)
    return torch if named else ""


def _key(
    pins: Iterable[Pin], rules: tuple[Rule, ...], bytecode: str, python: str, never_locked: str
) -> str:
    """The digest of all that decides what is in a layer. `never_locked`: a scope whose packages are
    not known yet.
    """
    wheels = []
    for pin in pins:
        hashes = " ".join(sorted(pin.hashes))
        wheels.append(f"{pin.name}=={pin.version} {pin.marker!r} {pin.built!r} {hashes}")
    parts = [f"{FORMAT} {python} {bytecode}", _text(rules), never_locked, *sorted(wheels)]
    return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


@lru_cache(64)  # most layers have the same
def _text(rules: tuple[Rule, ...]) -> str:
    return json.dumps([rule.as_json() for rule in rules], sort_keys=True)
