"""What each service holds, and the layers that it has: read from the locks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slimbake.fleet.layering.model import Chain, Demand, Group, Item, LayerPlan, demand
from slimbake.fleet.model import Fleet
from slimbake.lock.auto import UNKNOWN, UNPACKED
from slimbake.lock.model import Pin


@dataclass(frozen=True, slots=True)
class Written:
    """A fleet's packages, its layers, and what each of these is called."""

    fleet: Demand
    plan: LayerPlan
    names: Mapping[Group, str]


def written(fleet: Fleet, pins: Mapping[str, tuple[Pin, ...]]) -> Written:
    """The layers of packages that a fleet has, from the root up. Bytes are those of wheels, and on a
    host estimated from them.

    A service needs what its bases hold: that is what it asked for by standing on them.
    """
    items = {name: tuple(map(_item, pinned)) for name, pinned in pins.items()}
    groups = {name: frozenset(item.key for item in members) for name, members in items.items()}
    chains, images = [], []
    for service in fleet.services:
        names = [layer.name for layer in service.layer.closure if groups.get(layer.name)]
        chains.append(Chain(service.name, tuple(groups[name] for name in names)))
        images.append((service.name, [item for name in names for item in items[name]]))
    called = {group: name for name, group in reversed(groups.items())}
    return Written(demand(images), LayerPlan(tuple(chains)), called)


def _item(pin: Pin) -> Item:
    wheel = pin.bytes or UNKNOWN
    return Item(pin.name, pin.version, int(wheel * UNPACKED), wheel)
