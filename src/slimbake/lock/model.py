"""Families and their locks as values. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from slimbake.fleet.model import Fleet, Layer
from slimbake.host.wheels import Wheel

FORMAT = 2  # of lock files: another one makes every lock stale


# name==version of a package -> its bytes on a host and, where they were measured, on a registry.
Sizes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Family:
    """A root base and everything that stands on it: resolved together, so that a shared package has
    one version.
    """

    layers: tuple[Layer, ...]  # parents first
    torch: str  # "cpu", "cu128"; "" = as the index has it
    dependencies: bool = True  # a package that carries weights is wanted without them
    constraints: tuple[str, ...] = ()  # PEP 508: of versions, whoever asks for the packages
    found: bool = False  # slimbake finds which of its packages lie in bases

    @property
    def platforms(self) -> tuple[str, ...]:
        """What anything of it is built for."""
        return tuple(sorted({platform for layer in self.layers for platform in layer.platforms}))

    def on(self, platform: str) -> Family:
        """The layers for one platform. What lies below a layer has all of that layer's platforms."""
        return replace(
            self, layers=tuple(layer for layer in self.layers if platform in layer.platforms)
        )


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One exact package."""

    name: str
    version: str
    wheels: tuple[Wheel, ...] = ()
    # the packages of the layer's closure that need it; "" = asked for there
    via: tuple[str, ...] = ()
    marker: str = ""  # PEP 508, where a platform alone needs it
    built: str = ""  # the origin of the sources that its wheel is built from here; "" = of an index

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(f"sha256:{wheel.sha256}" for wheel in self.wheels if wheel.sha256)

    @property
    def bytes(self) -> int | None:
        """Of its largest wheel, since of those for several platforms each image has one; None where
        the index says none.
        """
        return max((w.bytes for w in self.wheels if w.bytes is not None), default=None)


def families(fleet: Fleet) -> tuple[Family, ...]:
    """The fleet's families; what carries weights, and what builds a local package, are families of
    their own.

    Where slimbake finds the layers, every service's packages are resolved for all platforms: any of
    them may lie in a base that the others stand on.
    """
    together: dict[str, list[Layer]] = {}
    for base in fleet.bases:
        together.setdefault(base.layer.family, []).append(base.layer)
    for service in fleet.services:
        if service.layer.installs:
            layer, root = service.layer, service.layer.family
            layer = layer if root else replace(layer, platforms=fleet.every_platform)
            together.setdefault(root, []).append(layer)
    weights = (each for each in fleet.weights if each.source == "package" and not each.export)
    return (
        *(Family(tuple(ls), ls[0].torch, found=not root) for root, ls in together.items()),
        *(Family((each.layer,), "", dependencies=False) for each in weights),
        *(Family((package.layer,), "") for package in fleet.packages),
    )


def inputs(family: Family, python: str, projects: Mapping[str, str]) -> dict[str, str]:
    """Of each layer by its name: the digest of all that its lock answers, less the indexes.

    The names of layers count for nothing, nor does their order; what they ask for and what they
    stand on does. `projects`: the path of each local package -> the text of its pyproject.toml,
    setup.cfg and setup.py.
    """
    platforms = family.platforms
    # A service's lock holds all that it needs, or what the bases that were found leave of it.
    whole = [
        FORMAT,
        family.torch,
        family.dependencies,
        platforms,
        python,
        *(["found"] if family.found else []),
    ]
    stands_on: dict[str, str] = {"": text_digest(json.dumps(whole))}
    for layer in family.layers:  # parents first
        asked: list[object] = [
            sorted(layer.asks.specs),
            sorted((p.name, projects[p.path]) for p in layer.asks.packages),
        ]
        more = (
            sorted((name, sorted(extras)) for name, extras in layer.asks.extras),
            sorted(each.spec for each in layer.asks.constraints),
            sorted((each.name, sorted(each.sha256)) for each in layer.asks.hashes),
            bool(layer.asks.prereleases),
        )
        asked += [more] if any(more) else []
        if layer.platforms != platforms:
            asked.append(list(layer.platforms))
        below = stands_on[layer.chain[-1].name if layer.chain else ""]
        stands_on[layer.name] = text_digest(json.dumps([asked, below]))
    del stands_on[""]
    return stands_on


def text_digest(text: str) -> str:
    """The SHA-256 of a text, as registries write it."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def merged(found: Mapping[str, Iterable[Pin]]) -> tuple[Pin, ...]:
    """One layer's pins on several platforms as one lock: marker of a platform -> the pins there.

    A package that all of them have is one pin, with the wheels of each.
    """
    together: dict[tuple[str, str], dict[str, Pin]] = {}
    for marker, pins in found.items():
        for pin in pins:
            together.setdefault((pin.name, pin.version), {})[marker] = pin
    pins = []
    for there in together.values():
        wheels = tuple(sorted({wheel for pin in there.values() for wheel in pin.wheels}))
        via = tuple(sorted({name for pin in there.values() for name in pin.via}))
        marker = "" if len(there) == len(found) else " or ".join(sorted(there))
        pins.append(replace(next(iter(there.values())), wheels=wheels, via=via, marker=marker))
    return tuple(sorted(pins))
