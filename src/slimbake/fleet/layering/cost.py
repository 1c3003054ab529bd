"""What a plan costs, counted from the plan alone: whoever made it, it is measured with the same
rule. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimbake.fleet.layering.model import Demand, LayerPlan

# What a byte counts that an update pulls. With less, layers are so large that a bump moves others';
# with more, there are twice as many (bench/sharing.py).
PULLED = 3.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of a whole fleet, and the layers of the image that has most.

    host: each distinct chain of layers once, unpacked. The same layer on two different parents lies
    there twice. registry: each distinct layer once, compressed, wherever it lies. pulled:
    compressed bytes that a host with the whole fleet pulls when one item changes, on average over
    items: each distinct layer that holds the item.
    """

    host: int
    registry: int
    pulled: float
    layers: int

    @property
    def value(self) -> float:
        """The planner's objective, in bytes; less is better."""
        return self.host + self.registry + PULLED * self.pulled


def cost(fleet: Demand, plan: LayerPlan) -> Cost:
    """Count a plan's bytes. Raises KeyError where it names an item that the fleet does not have."""
    registry = {group: fleet.registry(group) for group in plan.groups}
    places = {
        chain.groups[: depth + 1] for chain in plan.chains for depth in range(len(chain.groups))
    }
    items = len(frozenset[str]().union(*plan.groups)) or 1
    return Cost(
        host=sum(fleet.host(groups[-1]) for groups in places),
        registry=sum(registry.values()),
        pulled=sum(size * len(group) for group, size in registry.items()) / items,
        layers=max((len(chain.groups) for chain in plan.chains), default=0),
    )


def least_cost(fleet: Demand) -> Cost:
    """No plan takes less: each distinct item once, and what changed pulled alone."""
    used = frozenset[str]().union(*(image.items for image in fleet.images))
    registry = fleet.registry(used)
    return Cost(fleet.host(used), registry, registry / (len(used) or 1), 0)
