"""A fleet as numbers: items by index, images that are equal as one. What the search works on. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from slimbake.fleet.layering.model import Chain, Demand, Group, LayerLimits, LayerPlan, Prices

# The layers of one image, bottom first; each a number whose bits are items.
Path = tuple[int, ...]

IMPOSSIBLE = float("inf")


@dataclass(eq=False)
class Space:
    """Items and distinct images of a fleet, with the prices and the limit that plans are judged by."""

    fleet: Demand
    prices: Prices
    limits: LayerLimits
    kept: frozenset[int] = frozenset()  # the layers of an earlier plan
    known: int = 0  # the items of an earlier plan
    _sums: dict[int, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The items that are used, in the order of their bits."""
        used = frozenset[str]().union(*(image.items for image in self.fleet.images))
        return tuple(item.key for item in self.fleet.items if item.key in used)

    @cached_property
    def bit(self) -> dict[str, int]:
        return {key: 1 << index for index, key in enumerate(self.keys)}

    @cached_property
    def services(self) -> tuple[tuple[str, ...], ...]:
        """The services of each distinct image."""
        found: defaultdict[Group, list[str]] = defaultdict(list)
        for image in self.fleet.images:
            found[image.items].append(image.service)
        return tuple(map(tuple, found.values()))

    @cached_property
    def images(self) -> tuple[int, ...]:
        """The distinct images, as bits."""
        return tuple(dict.fromkeys(self.mask(image.items) for image in self.fleet.images))

    @cached_property
    def host(self) -> tuple[float, ...]:
        return tuple(self.prices.host * self.fleet.by_key[key].host for key in self.keys)

    @cached_property
    def registry(self) -> tuple[int, ...]:
        return tuple(self.fleet.by_key[key].registry for key in self.keys)

    @cached_property
    def rate(self) -> tuple[float, ...]:
        """Of each item, its part of all changes."""
        rates = [self.fleet.by_key[key].rate for key in self.keys]
        total = sum(rates) or 1.0
        return tuple(rate / total for rate in rates)

    @cached_property
    def weights(self) -> int:
        """The bits of all weights: each lies in a layer of its own."""
        return self.mask(key for key in self.keys if self.fleet.by_key[key].kind == "weights")

    def mask(self, keys: Iterable[str]) -> int:
        """Items as bits."""
        return sum(self.bit[key] for key in keys)

    def sums(self, mask: int) -> tuple[float, float]:
        """What a layer costs at each place where it lies, and once for being there."""
        known = self._sums.get(mask)
        if known is None:
            held = tuple(bits(mask))
            registry = sum(self.registry[index] for index in held)
            rate = sum(self.rate[index] for index in held)
            once = registry * (self.prices.registry + self.prices.pulled * rate)
            if mask not in self.kept:
                once += self.prices.moved * sum(
                    self.registry[index] for index in bits(mask & self.known)
                )
            if mask & self.weights and len(held) > 1:
                once = IMPOSSIBLE
            known = self._sums[mask] = (sum(self.host[index] for index in held), once)
        return known

    def value(self, paths: Sequence[Path]) -> float:
        """The objective of a plan without waste; infinite where it breaks a limit."""
        total = 0.0
        places: set[Path] = set()
        layers: set[int] = set()
        for path in paths:
            if len(path) > self.limits.free:
                return IMPOSSIBLE
            for depth in range(len(path), 0, -1):
                place = path[:depth]
                if place in places:
                    break  # and so is all below
                places.add(place)
                total += self.sums(place[-1])[0]
                layers.add(place[-1])
        return total + sum(self.sums(layer)[1] for layer in layers)

    def plan(self, paths: Sequence[Path]) -> LayerPlan:
        """Paths as a plan, in the fleet's order."""
        group = {
            mask: frozenset(self.keys[i] for i in bits(mask)) for path in paths for mask in path
        }
        chains = {
            service: Chain(service, tuple(group[mask] for mask in path))
            for services, path in zip(self.services, paths, strict=True)
            for service in services
        }
        return LayerPlan(tuple(chains[image.service] for image in self.fleet.images))

    def paths(self, plan: LayerPlan) -> list[Path]:
        """A plan's paths; it holds every image exactly."""
        return [tuple(map(self.mask, plan.chain(services[0]).groups)) for services in self.services]


def bits(mask: int) -> Iterator[int]:
    """The places of the bits that are set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
