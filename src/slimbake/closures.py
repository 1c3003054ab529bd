"""What each service of a manifest holds, and the layers that the manifest writes for it: read from the locks.

Bytes come, for each item, from the first that knows them: what was measured, what the lock says of its wheel, the folder of weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from slimbake.errors import SetupError
from slimbake.layers.cost import name as name_of
from slimbake.layers.model import Chain, Fleet, Group, Item, LayerPlan, fleet
from slimbake.lock.model import Pin, parse_pins
from slimbake.manifest.model import LocalPackage, Manifest
from slimbake.plan.bases import layered, parents_first
from slimbake.plan.sources import WeightsSource, weights_sources
from slimbake.plan.targets import LOCKS

UNPACKED = 4.2
"""Bytes on a host for one of a wheel, bytecode included: the example's packages as baked (bench/layering/measured.py)."""
WEIGHTS_PACKED = 0.9
"""Bytes on a registry for one of a model's weights: MiniLM's, likewise."""

_WHEEL = re.compile(r"^# (\S+\.whl) (\d+)$", re.MULTILINE)

Sizes = Mapping[str, tuple[int, int]]
"""Key of an item -> its bytes on a host and on a registry."""


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest's fleet, its hand-written layers, and what each of these is called."""

    fleet: Fleet
    plan: LayerPlan
    names: Mapping[Group, str]


def written(manifest: Manifest, measured: Sizes) -> Written:
    """The layers that a manifest writes: bases from the root up, shared weights, the service's own packages and weights.

    A service needs what its bases hold: that is what it asked for by standing on them. Raises SetupError where a lock is missing, or
    the bytes of an item are not known.
    """
    manifest = layered(manifest)
    reader = _Reader(manifest.file.parent, measured)
    names: dict[Group, str] = {}
    items: dict[str, tuple[Item, ...]] = {"": ()}  # of each layer by its name
    below: dict[str, tuple[str, ...]] = {}
    for base in parents_first(manifest):
        name = f"base-{base.name}"
        items[name] = reader.layer(name, base.requirements.packages)
        below[base.name] = (*(below[base.extends] if base.extends else ()), name)
    sources = weights_sources(manifest)
    for source in sources.values():
        items[f"weights-{source.name}"] = (reader.weights(source),)
    chains, images = [], []
    for service in manifest.services:
        items[service.name] = reader.layer(service.name, service.requirements.packages)
        order = [*(below[service.base] if service.base else ()), service.name]
        if service.weights:
            source = sources[service.weights]
            # What several services use lies below what only one has, as in plan.model.Recipe.
            order.insert(len(order) - 1 if source.users > 1 else len(order), f"weights-{source.name}")
        groups = {name: frozenset(item.key for item in items[name]) for name in order if items[name]}
        for name, group in groups.items():
            names.setdefault(group, name)
        chains.append(Chain(service.name, tuple(groups.values())))
        images.append((service.name, [item for name in order for item in items[name]]))
    reader.complain()
    return Written(fleet(images), LayerPlan(tuple(chains)), names)


def sizes(file: Path) -> Sizes:
    """Read bytes of items from a JSON file: `{"name==version": [host, registry]}`. Raises SetupError."""
    try:
        return {str(key): (int(host), int(registry)) for key, (host, registry) in json.loads(file.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SetupError(
            f"{file}: no bytes of items: {error}", 'it is JSON: {"torch==2.13.0": [HOST, REGISTRY]}'
        ) from None


def wheel_bytes(text: str) -> dict[str, int]:
    """The bytes of each pin's wheel, from the comments of a lock; where there are several, the largest for x86-64."""
    found: dict[str, int] = {}
    for file, size in _WHEEL.findall(text):
        try:
            name, version, _, tags = parse_wheel_filename(file)
        except InvalidWheelFilename:
            continue
        if any(tag.platform == "any" or tag.platform.endswith("x86_64") for tag in tags):
            key = f"{name}=={version}"
            found[key] = max(found.get(key, 0), int(size))
    return found


class _Reader:
    def __init__(self, root: Path, measured: Sizes) -> None:
        self.root, self.measured = root, measured
        self.unknown: list[str] = []

    def layer(self, name: str, packages: Iterable[LocalPackage]) -> tuple[Item, ...]:
        """The items of one layer: its pins and its local packages."""
        path = self.root / LOCKS / f"{name}.txt"
        text = path.read_text("utf-8") if path.is_file() else ""
        wheels = wheel_bytes(text)
        pins = (self._item(pin, wheels) for pin in parse_pins(text))
        return (*pins, *(self._local(package) for package in packages))

    def weights(self, source: WeightsSource) -> Item:
        """A model's weights, as the layer that holds them."""
        name = f"weights-{source.name}"
        if source.weights.source == "path":
            size = _folder(self.root / source.weights.value)
            host, registry = self.measured.get(name, (size, int(size * WEIGHTS_PACKED)))
            return Item(name, "", host, registry, kind="weights")
        pin = self.layer(name, ())[0]
        # The package itself does not lie in the image: its bytes are those of the weights that it carries.
        host, registry = self.measured.get(name, (pin.host, pin.registry))
        self.unknown = [key for key in self.unknown if key != pin.key or not host]
        return Item(name, pin.version, host, registry, kind="weights")

    def complain(self) -> None:
        """Raise SetupError where bytes are not known."""
        if self.unknown:
            shown = ", ".join(sorted(set(self.unknown))[:5])
            raise SetupError(
                f"the bytes of {len(set(self.unknown))} packages are not known: {shown}"
                + (", ..." if len(set(self.unknown)) > 5 else ""),
                "`slimbake lock --upgrade` writes the bytes of wheels into the locks; or give measured ones with --bytes FILE",
            )

    def _item(self, pin: Pin, wheels: Mapping[str, int]) -> Item:
        key = f"{pin.name}=={pin.version}"
        if key not in self.measured and key not in wheels:
            self.unknown.append(key)
        wheel = wheels.get(key, 0)
        host, registry = self.measured.get(key, (int(wheel * UNPACKED), wheel))
        return Item(pin.name, pin.version, host, registry)

    def _local(self, package: LocalPackage) -> Item:
        measured = (value for key, value in self.measured.items() if name_of(key) == package.name)
        size = _folder(self.root / package.path / "src") or _folder(self.root / package.path)
        return Item(package.name, "", *next(measured, (size, int(size / UNPACKED))))


def _folder(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
