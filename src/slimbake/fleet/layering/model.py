"""A fleet and its layers as values. Bytes are of two kinds, and say which: on a host and on a
registry. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

# What one layer holds: the keys of items.
Group = frozenset[str]


@dataclass(frozen=True, slots=True)
class Item:
    """What is never split between layers: one package at one version, or the weights of one model."""

    name: str
    version: str  # "" where it has none
    host: int  # bytes of its files: what it takes unpacked, on a host
    registry: int  # bytes of its files compressed: what it takes on a registry and to pull
    rate: float = 1.0  # how often it changes, compared with other items; 1 where nothing is known
    kind: Literal["package", "weights"] = "package"  # weights lie in a layer of their own

    @property
    def key(self) -> str:
        """What tells it from every other item: another version is another item."""
        return f"{self.name}=={self.version}" if self.version else self.name


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


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """How many layers an image may have, and how many of those the planner must leave alone."""

    layers: int = 10
    reserved: int = 3  # the runtime's two layers and the service's code

    @property
    def free(self) -> int:
        """Layers for items."""
        return self.layers - self.reserved


@dataclass(frozen=True, slots=True)
class Prices:
    """What one byte counts, by where it lies: the weights of the planner's objective."""

    host: float = 1.0
    registry: float = 1.0
    pulled: float = 10.0  # by one typical update: a plan lives for some ten of them
    waste: float = 1.0
    moved: float = 1.0  # of what has not changed since an earlier plan, and yet lies in a new layer


def demand(images: Iterable[tuple[str, Iterable[Item]]]) -> Demand:
    """A fleet from the items of each service. Of items with one key, the first counts."""
    known: dict[str, Item] = {}
    found = []
    for service, items in images:
        held = tuple(items)
        for item in held:
            known.setdefault(item.key, item)
        found.append(Needs(service, frozenset(item.key for item in held)))
    return Demand(tuple(found), tuple(known[key] for key in sorted(known)))
