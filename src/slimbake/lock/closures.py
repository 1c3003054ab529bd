"""What each service of a manifest holds, and the layers that the manifest writes for it: read from
the locks.

Bytes come from a measurement where there is one, else from what the lock says of wheels, or from a
folder in the repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slimbake.fleet.layering.cost import item_name as name_of
from slimbake.fleet.layering.model import Chain, Demand, Group, Item, LayerPlan, demand
from slimbake.fleet.model import Fleet, Layer, Package, Weights
from slimbake.host.files import read_json
from slimbake.lock.auto import LOCAL, UNKNOWN, UNPACKED
from slimbake.lock.model import Pin, Sizes

# Bytes on a registry for one of a model's weights: MiniLM, likewise.
WEIGHTS_PACKED = 0.9

# Of a number in an exported model, taken for that of all its bytes: MiniLM's graph is 90 MB in
# fp32, 23 in int8. With 4 bits go a scale and a zero for each block.
BITS = {"fp32": 32, "fp16": 16, "int8": 8, "int4": 5}


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest's fleet, its hand-written layers, and what each of these is called."""

    fleet: Demand
    plan: LayerPlan
    names: Mapping[Group, str]


def written(fleet: Fleet, pins: Mapping[str, tuple[Pin, ...]], measured: Sizes) -> Written:
    """The layers that a fleet has: bases from the root up, shared weights, the service's own
    packages and weights.

    A service needs what its bases hold: that is what it asked for by standing on them.
    """
    reader = _Reader(fleet.root, pins, measured)
    names: dict[Group, str] = {}
    items: dict[str, tuple[Item, ...]] = {
        each.layer.name: (reader.weights(each),) for each in fleet.weights
    }
    for base in fleet.bases:
        if base.layer.kind != "export":
            held = items[base.weights.layer.name] if base.weights else ()
            items[base.layer.name] = (*reader.layer(base.layer, base.packages), *held)
    chains, images = [], []
    for service in fleet.services:
        items[service.name] = reader.layer(service.layer, service.packages)
        order = [layer.name for layer in service.layer.closure]
        if service.laid and not service.holds_weights_below:
            # What several services use lies below what only one has, as in plan.model.Recipe.
            place = len(order) - 1 if service.laid.shared else len(order)
            order.insert(place, service.laid.layer.name)
        groups = {
            name: frozenset(item.key for item in items[name]) for name in order if items[name]
        }
        for name, group in groups.items():
            names.setdefault(group, name)
        chains.append(Chain(service.name, tuple(groups.values())))
        images.append((service.name, [item for name in order for item in items[name]]))
    return Written(demand(images), LayerPlan(tuple(chains)), names)


def sizes(file: Path) -> Sizes:
    """The measured bytes of packages: what `slimbake sizes --json` printed. Raises UsageError where
    it is not that.
    """
    return read_json(file, _sizes, "`slimbake sizes --json > FILE` writes one")


def _sizes(said: Any) -> Sizes:
    return {
        f"{row['name']}=={row['what']}": int(row["uncompressed"])
        for row in said["packages"]
        if row["kind"] == "python"
    }


class _Reader:
    def __init__(self, root: Path, locks: Mapping[str, tuple[Pin, ...]], measured: Sizes) -> None:
        self.root, self.locks, self.measured = root, locks, measured

    def layer(self, layer: Layer, packages: Iterable[Package]) -> tuple[Item, ...]:
        """The items of one layer: its pins and its local packages."""
        # Of what is built from sources elsewhere, the lock has a line.
        local = (package for package in packages if not package.source)
        return (*map(self._item, self.locks.get(layer.name, ())), *map(self._local, local))

    def weights(self, weights: Weights) -> Item:
        """A model's weights, as the layer that holds them."""
        name = weights.layer.name
        if weights.export and weights.origin:
            below = self.weights(weights.origin)
            share = BITS[weights.export.precision.type] / BITS["fp32"]
            host, registry = int(below.host * share), int(below.registry * share)
            return replace(below, name=name, version="", host=host, registry=registry)
        if weights.source == "path":
            host = _folder(self.root / weights.value)
            return Item(name, "", host, int(host * WEIGHTS_PACKED), kind="weights")
        pin = self.locks[name][0]
        registry = self._wheel(pin)
        return Item(name, pin.version, int(registry / WEIGHTS_PACKED), registry, kind="weights")

    def _item(self, pin: Pin) -> Item:
        host = self.measured.get(f"{pin.name}=={pin.version}")
        wheel = self._wheel(pin)
        return Item(pin.name, pin.version, int(wheel * UNPACKED) if host is None else host, wheel)

    def _wheel(self, pin: Pin) -> int:
        return LOCAL if pin.built else pin.bytes or UNKNOWN

    def _local(self, package: Package) -> Item:
        measured = (value for key, value in self.measured.items() if name_of(key) == package.name)
        host = next(measured, _folder(self.root / package.path))
        return Item(package.name, "", host, int(host / UNPACKED))


def _folder(path: Path) -> int:
    return sum(
        file.stat().st_size
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
