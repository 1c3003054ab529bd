"""What a plan costs, counted from the plan alone: whoever made it, it is measured with the same
rule. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slimbake.fleet.layering.model import Demand, Group, LayerPlan, Prices


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of a whole fleet, and the layers of the image that has most.

    host: each distinct chain of layers once, unpacked. The same layer on two different parents lies
    there twice. registry: each distinct layer once, compressed, wherever it lies. pulled:
    compressed bytes that a host with the whole fleet pulls when one item changes, on average over
    items by their rates: each distinct layer that holds the item. waste: unpacked bytes that images carry and do not need, or have
    twice, summed over the images.
    """

    host: int
    registry: int
    pulled: float
    waste: int
    layers: int

    def value(self, prices: Prices) -> float:
        """The planner's objective, in bytes; less is better."""
        return (
            prices.host * self.host
            + prices.registry * self.registry
            + prices.pulled * self.pulled
            + prices.waste * self.waste
        )


def cost(fleet: Demand, plan: LayerPlan) -> Cost:
    """Count a plan's bytes. Raises KeyError where it names an item or a service that the fleet does
    not have.
    """
    items = fleet.by_key
    needs = {image.service: image.items for image in fleet.images}
    host: dict[Group, int] = {}
    registry: dict[Group, int] = {}
    rate: dict[Group, float] = {}
    for group in plan.groups:
        host[group] = sum(items[key].host for key in group)
        registry[group] = sum(items[key].registry for key in group)
        rate[group] = sum(items[key].rate for key in group)
    rates = sum(items[key].rate for key in _used(fleet)) or 1.0
    placed = {
        chain.groups[: depth + 1] for chain in plan.chains for depth in range(len(chain.groups))
    }
    waste = sum(
        sum(host[group] for group in chain.groups)
        - sum(items[key].host for key in needs[chain.service])
        for chain in plan.chains
    )
    return Cost(
        host=sum(host[groups[-1]] for groups in placed),
        registry=sum(registry.values()),
        pulled=sum(registry[group] * rate[group] for group in registry) / rates,
        waste=waste,
        layers=max((len(chain.groups) for chain in plan.chains), default=0),
    )


def least_cost(fleet: Demand) -> Cost:
    """No plan without waste takes less: each distinct item once, and what changed pulled alone."""
    used = [fleet.by_key[key] for key in _used(fleet)]
    rates = sum(item.rate for item in used) or 1.0
    return Cost(
        host=sum(item.host for item in used),
        registry=sum(item.registry for item in used),
        pulled=sum(item.registry * item.rate for item in used) / rates,
        waste=0,
        layers=0,
    )


def item_name(key: str) -> str:
    """The name of an item, from its key."""
    return key.partition("==")[0]


def item_names(group: Iterable[str]) -> frozenset[str]:
    """The names of a group's items: what stays when versions change."""
    return frozenset(map(item_name, group))


def _used(fleet: Demand) -> frozenset[str]:
    return frozenset[str]().union(*(image.items for image in fleet.images))
