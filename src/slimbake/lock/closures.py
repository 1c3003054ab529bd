"""What each service of a manifest holds, and the layers that the manifest writes for it: read from
the locks.

Bytes come from a measurement where there is one, else from what the lock says of wheels, or from a
folder in the repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake.fleet.layering.model import Chain, Demand, Group, Item, LayerPlan, demand, item_name
from slimbake.fleet.model import Fleet, Layer, Package
from slimbake.host.files import read_json
from slimbake.lock.auto import UNKNOWN, UNPACKED
from slimbake.lock.model import Pin, Sizes


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest's fleet, its hand-written layers, and what each of these is called."""

    fleet: Demand
    plan: LayerPlan
    names: Mapping[Group, str]


def written(fleet: Fleet, pins: Mapping[str, tuple[Pin, ...]], measured: Sizes) -> Written:
    """The layers of packages that a fleet has, from the root up.

    A service needs what its bases hold: that is what it asked for by standing on them.
    """
    reader = _Reader(fleet.root, pins, measured)
    names: dict[Group, str] = {}
    items: dict[str, tuple[Item, ...]] = {}
    for base in fleet.bases:
        items[base.layer.name] = reader.layer(base.layer, base.packages)
    chains, images = [], []
    for service in fleet.services:
        items[service.name] = reader.layer(service.layer, service.packages)
        order = [layer.name for layer in service.layer.closure]
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

    def _item(self, pin: Pin) -> Item:
        host = self.measured.get(f"{pin.name}=={pin.version}")
        wheel = pin.bytes or UNKNOWN
        return Item(pin.name, pin.version, int(wheel * UNPACKED) if host is None else host, wheel)

    def _local(self, package: Package) -> Item:
        measured = (value for key, value in self.measured.items() if item_name(key) == package.name)
        host = next(measured, _folder(self.root / package.path))
        return Item(package.name, "", host, int(host / UNPACKED))


def _folder(path: Path) -> int:
    return sum(
        file.stat().st_size
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
