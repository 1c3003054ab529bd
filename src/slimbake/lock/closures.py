"""What each service of a manifest holds, and the layers that the manifest writes for it: read from
the locks.

Bytes come from a measurement where there is one, else from what the lock says of wheels, or from a
folder in the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slimbake.config.model import LocalPackage, Manifest, Weights
from slimbake.errors import SetupError, UsageError
from slimbake.fleet.bases import layered, parents_first
from slimbake.fleet.sources import WeightsSource, origin, weights_sources
from slimbake.layering.cost import item_name as name_of
from slimbake.layering.model import Chain, Demand, Group, Item, LayerPlan, demand
from slimbake.lock.auto import UNPACKED
from slimbake.lock.model import Pin

WEIGHTS_PACKED = 0.9
"""Bytes on a registry for one of a model's weights: MiniLM, likewise."""

BITS = {"fp32": 32, "fp16": 16, "int8": 8}
"""Of a number in an exported model, taken for that of all its bytes: MiniLM's graph is 90 MB in
fp32, 23 in int8.
"""

Sizes = Mapping[str, tuple[int, int | None]]
"""name==version of a package -> its bytes on a host and, where they were measured, on a registry.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest's fleet, its hand-written layers, and what each of these is called."""

    fleet: Demand
    plan: LayerPlan
    names: Mapping[Group, str]


def written(manifest: Manifest, locks: Mapping[str, tuple[Pin, ...]], measured: Sizes) -> Written:
    """The layers that a manifest writes: bases from the root up, shared weights, the service's own
    packages and weights.

    A service needs what its bases hold: that is what it asked for by standing on them. Raises
    SetupError where a lock is missing, or the bytes of an item are not known.
    """
    manifest = layered(manifest)
    reader = _Reader(manifest.file.parent, locks, measured)
    names: dict[Group, str] = {}
    items: dict[str, tuple[Item, ...]] = {"": ()}  # of each layer by its name
    below: dict[str, tuple[str, ...]] = {}
    sources = weights_sources(manifest)
    for source in sources.values():
        items[f"weights-{source.name}"] = (reader.weights(source, sources),)
    for base in (each for each in parents_first(manifest) if not each.exports):
        name = f"base-{base.name}"
        items[name] = reader.layer(name, base.requirements.packages)
        if base.weights:
            items[name] += items[f"weights-{sources[base.weights].name}"]
        below[base.name] = (*(below[base.extends] if base.extends else ()), name)
    chains, images = [], []
    for service in manifest.services:
        items[service.name] = reader.layer(service.name, service.requirements.packages)
        order = [*(below[service.base] if service.base else ()), service.name]
        held = {item.key for name in order for item in items[name]}
        if service.weights and items[f"weights-{sources[service.weights].name}"][0].key not in held:
            source = sources[service.weights]
            # What several services use lies below what only one has, as in plan.model.Recipe.
            order.insert(
                len(order) - 1 if source.users > 1 else len(order), f"weights-{source.name}"
            )
        groups = {
            name: frozenset(item.key for item in items[name]) for name in order if items[name]
        }
        for name, group in groups.items():
            names.setdefault(group, name)
        chains.append(Chain(service.name, tuple(groups.values())))
        images.append((service.name, [item for name in order for item in items[name]]))
    reader.complain()
    return Written(demand(images), LayerPlan(tuple(chains)), names)


def sizes(file: Path) -> Sizes:
    """The measured bytes of packages: what `slimbake sizes --json` printed. Raises UsageError where
    it is not that.
    """
    try:
        rows = json.loads(file.read_text("utf-8"))["packages"]
        return {
            f"{row['name']}=={row['what']}": (
                int(row["uncompressed"]),
                row["zstd"] and int(row["zstd"]),
            )
            for row in rows
            if row["kind"] == "python"
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        hint = "`slimbake sizes --json > FILE` writes one"
        raise UsageError(f"{file} holds no measurement: {error}", hint) from None


class _Reader:
    def __init__(self, root: Path, locks: Mapping[str, tuple[Pin, ...]], measured: Sizes) -> None:
        self.root, self.locks, self.measured = root, locks, measured
        self.unknown: set[str] = set()

    def layer(self, name: str, packages: Iterable[LocalPackage]) -> tuple[Item, ...]:
        """The items of one layer: its pins and its local packages."""
        return (*map(self._item, self.locks.get(name, ())), *map(self._local, packages))

    def weights(self, source: WeightsSource, sources: Mapping[Weights, WeightsSource]) -> Item:
        """A model's weights, as the layer that holds them."""
        name = f"weights-{source.name}"
        if export := source.weights.export:
            below = self.weights(sources[origin(source.weights)], sources)
            share = BITS[export.precision.type] / BITS["fp32"]
            return replace(
                below,
                name=name,
                version="",
                host=int(below.host * share),
                registry=int(below.registry * share),
            )
        if source.weights.source == "path":
            host = _folder(self.root / source.weights.value)
            return Item(name, "", host, int(host * WEIGHTS_PACKED), kind="weights")
        pin = self.locks[name][0]
        registry = self._wheel(pin)
        return Item(name, pin.version, int(registry / WEIGHTS_PACKED), registry, kind="weights")

    def complain(self) -> None:
        """Raise SetupError where bytes are not known."""
        if self.unknown:
            shown = ", ".join(sorted(self.unknown)[:5]) + (", ..." if len(self.unknown) > 5 else "")
            hint = (
                "`slimbake sizes --json > FILE` measures baked images, and --measured FILE reads it"
            )
            raise SetupError(f"the locks do not say the bytes of: {shown}", hint)

    def _item(self, pin: Pin) -> Item:
        host, registry = self.measured.get(f"{pin.name}=={pin.version}", (None, None))
        wheel = registry or self._wheel(pin)
        return Item(pin.name, pin.version, int(wheel * UNPACKED) if host is None else host, wheel)

    def _wheel(self, pin: Pin) -> int:
        """The bytes of a pin's largest wheel: of those for several platforms, each image has one."""
        known = [wheel.bytes for wheel in pin.wheels if wheel.bytes is not None]
        if not known:
            self.unknown.add(f"{pin.name}=={pin.version}")
        return max(known, default=0)

    def _local(self, package: LocalPackage) -> Item:
        measured = (
            value[0] for key, value in self.measured.items() if name_of(key) == package.name
        )
        host = next(measured, _folder(self.root / package.path))
        return Item(package.name, "", host, int(host / UNPACKED))


def _folder(path: Path) -> int:
    return sum(
        file.stat().st_size
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
