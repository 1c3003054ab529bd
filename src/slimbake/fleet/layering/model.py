"""A fleet and its layers as values. Bytes are of two kinds, and say which: on a host and on a
registry. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

# What one layer holds: the keys of items.
Group = frozenset[str]

LIMIT = 10  # layers of an image, where the manifest says nothing
RESERVED = 3  # of these: the runtime's two layers and the service's code
WORTH = 4_000_000  # bytes that one layer more must save


@dataclass(frozen=True, slots=True)
class Item:
    """What is never split between layers: the wheels of one package at one version."""

    name: str
    version: str  # "" where it has none
    host: int  # bytes of its files: what it takes unpacked, on a host
    registry: int  # bytes of its files compressed: what it takes on a registry and to pull
    variety: str = ""  # what else tells it from another: other files, other rules

    @property
    def key(self) -> str:
        """What tells it from every other item: another version is another item."""
        version = f"{self.version}#{self.variety}" if self.variety else self.version
        return f"{self.name}=={version}" if version else self.name


@dataclass(frozen=True, slots=True)
class Needs:
    """What one service needs."""

    service: str
    items: Group


@dataclass(frozen=True)
class Demand:
    """Services and all that they need. Every key of an image is an item's."""

    images: tuple[Needs, ...]
    items: tuple[Item, ...]

    @cached_property
    def by_key(self) -> dict[str, Item]:
        return {item.key: item for item in self.items}

    def host(self, group: Iterable[str]) -> int:
        """Bytes on a host of these items."""
        return sum(self.by_key[key].host for key in group)

    def registry(self, group: Iterable[str]) -> int:
        """Bytes on a registry of these items."""
        return sum(self.by_key[key].registry for key in group)


@dataclass(frozen=True, slots=True)
class Chain:
    """The layers of one image, bottom first."""

    service: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """The layers of a fleet. Chains that begin alike share: images stand on each other like the
    branches of a tree.
    """

    chains: tuple[Chain, ...]

    def chain(self, service: str) -> Chain:
        """The layers of that service; KeyError where it has none."""
        for chain in self.chains:
            if chain.service == service:
                return chain
        raise KeyError(service)

    @property
    def groups(self) -> frozenset[Group]:
        """Every distinct layer: identical content is one blob, wherever it lies."""
        return frozenset(group for chain in self.chains for group in chain.groups)


def shared_groups(fleet: Demand, plan: LayerPlan) -> frozenset[Group]:
    """The layers that several images have, in whichever place, and that are worth one."""
    counts = Counter(group for chain in plan.chains for group in chain.groups)
    return frozenset(
        group
        for group, count in counts.items()
        if count > 1 and fleet.host(group) * (count - 1) >= WORTH
    )


def demand(images: Iterable[tuple[str, Iterable[Item]]]) -> Demand:
    """A fleet from the items of each service. Of items with one key, the first counts."""
    items: dict[str, Item] = {}
    needs = []
    for service, service_items in images:
        keys = []
        for item in service_items:
            key = item.key
            items.setdefault(key, item)
            keys.append(key)
        needs.append(Needs(service, frozenset(keys)))
    return Demand(tuple(needs), tuple(items[key] for key in sorted(items)))


def item_name(key: str) -> str:
    """The name of an item, from its key."""
    return key.partition("==")[0]


def item_names(group: Iterable[str]) -> frozenset[str]:
    """The names of a group's items: what stays when versions change."""
    return frozenset(map(item_name, group))
