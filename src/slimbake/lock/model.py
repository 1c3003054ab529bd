"""Families and their locks as values. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from slimbake.config.model import LocalPackage, Manifest, Requirements
from slimbake.fleet.bases import parents_first, roots, torch_builds
from slimbake.fleet.exports import ONNX
from slimbake.fleet.platforms import (
    DEFAULT_PLATFORMS,
    of_all,
    of_bases,
    of_package,
    of_service,
    of_weights,
)
from slimbake.fleet.sources import local_packages, weights_sources
from slimbake.host.wheels import Wheel

FORMAT = 2  # of lock files: another one makes every lock stale


@dataclass(frozen=True, slots=True)
class Layer:
    """What one base or service adds to the one that it stands on."""

    name: str  # also the lock's name: base-ml, api
    parent: str  # another layer of the family, "" for none
    specs: tuple[str, ...]
    packages: tuple[LocalPackage, ...]
    files: tuple[str, ...] = ()  # where they are written, other than in the manifest
    platforms: tuple[str, ...] = DEFAULT_PLATFORMS
    outside: bool = False  # models are exported on it, and no image holds it
    onnx: bool = False  # its model runs without torch


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
        """The family less what is not built for a platform; whatever a layer stands on is built for
        all of its own.
        """
        return replace(
            self, layers=tuple(layer for layer in self.layers if platform in layer.platforms)
        )

    def closure(self, name: str) -> tuple[Layer, ...]:
        """A layer and all that it stands on, itself last."""
        by_name = {layer.name: layer for layer in self.layers}
        chain: list[Layer] = []
        while name:
            chain.append(by_name[name])
            name = by_name[name].parent
        return tuple(reversed(chain))


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One exact package."""

    name: str
    version: str
    wheels: tuple[Wheel, ...] = ()
    # the packages of the layer's closure that need it; "" = asked for there
    via: tuple[str, ...] = ()
    marker: str = ""  # PEP 508, where a platform alone needs it

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(f"sha256:{wheel.sha256}" for wheel in self.wheels if wheel.sha256)


def families(manifest: Manifest) -> tuple[Family, ...]:
    """The manifest's families; what carries weights, and what builds a local package, are families
    of their own.
    """
    by_root: dict[str, list[Layer]] = {}
    root_of, torch, on = roots(manifest), torch_builds(manifest), of_bases(manifest)
    for base in parents_first(manifest):
        layer = _layer(f"base-{base.name}", base.extends, base.requirements, on[base.name])
        layer = replace(layer, outside=bool(base.exports))
        by_root.setdefault(f"base-{root_of[base.name]}", []).append(layer)
    for service in manifest.services:
        # Services whose layers slimbake finds are one family: what they have in common can only be
        # shared so.
        root = (
            f"base-{root_of[service.base]}"
            if service.base
            else ""
            if is_auto(manifest)
            else service.name
        )
        platforms = of_all(manifest) if is_auto(manifest) else of_service(service, manifest)
        layer = _layer(service.name, service.base, service.requirements, platforms)
        layer = replace(layer, onnx=service.inference == ONNX)
        if layer.specs or layer.packages:
            by_root.setdefault(root, []).append(layer)
    weights = (
        Family(
            (
                Layer(
                    f"weights-{each.name}", "", (model.value,), (), (), of_weights(model, manifest)
                ),
            ),
            "",
            False,
        )
        for model, each in weights_sources(manifest).items()
        if model.source == "package" and not model.export
    )
    builders = (
        Family(
            (Layer(f"wheel-{each.name}", "", each.build, (), (), of_package(each, manifest)),), ""
        )
        for each in local_packages(manifest)
    )
    bases = (
        Family(tuple(layers), torch[layers[0].name], found=not root)
        for root, layers in by_root.items()
    )
    return (*bases, *weights, *builders)


def _layer(name: str, base: str | None, asked: Requirements, platforms: tuple[str, ...]) -> Layer:
    return Layer(
        name, f"base-{base}" if base else "", asked.specs, asked.packages, asked.files, platforms
    )


def is_auto(manifest: Manifest) -> bool:
    """Whether slimbake finds the layers of this fleet: where no base is written."""
    return not manifest.bases and manifest.layers != "none"


def inputs(family: Family, python: str, projects: Mapping[str, str]) -> dict[str, str]:
    """Of each layer by its name: the digest of all that its lock answers, less the indexes.

    The names of layers count for nothing, nor does their order; what they ask for and what they
    stand on does. `projects`: the path of each local package -> the text of its pyproject.toml.
    """
    # A service's lock holds all that it needs, or what the bases that were found leave of it.
    whole = [
        FORMAT,
        family.torch,
        family.dependencies,
        family.platforms,
        python,
        *(["found"] if family.found else []),
    ]
    stands_on: dict[str, str] = {"": _digest(whole)}
    for layer in family.layers:  # parents first
        asked: list[object] = [
            sorted(layer.specs),
            sorted((p.name, projects[p.path]) for p in layer.packages),
        ]
        if layer.platforms != family.platforms:
            asked.append(list(layer.platforms))
        stands_on[layer.name] = _digest([asked, stands_on[layer.parent]])
    del stands_on[""]
    return stands_on


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value).encode()).hexdigest()


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
