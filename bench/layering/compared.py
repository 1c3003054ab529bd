"""Other ways to cut images into layers, as plain functions: a fleet in, a plan out.

They know nothing of each other's images but what their rule says; that is what they are compared
for.
"""

from __future__ import annotations

from slimbake.fleet.layering.model import Chain, Demand, Group, LayerPlan


def one_image_each(fleet: Demand) -> LayerPlan:
    """No sharing: all that a service needs in one layer, as from one `pip install`. Equal sets are
    one layer.
    """
    return LayerPlan(tuple(Chain(image.service, (image.items,)) for image in fleet.images))


def largest(fleet: Demand, layers: int) -> LayerPlan:
    """apko's `layering: {strategy: origin, budget: N}`: the largest groups get a layer each, the
    last layer the rest.

    Taken from apko's pkg/build/layers.go: packages are grouped by the source package that they come
    from and by what replaces what; a Python package is a group of its own. Groups in order of
    installed bytes, then of names; beyond the budget, the last layer takes all that remain.
    """
    items = fleet.by_key

    def order(key: str) -> tuple[int, str]:
        return -items[key].host, key

    return LayerPlan(
        tuple(
            Chain(image.service, _alone(sorted(image.items, key=order), layers))
            for image in fleet.images
        )
    )


def _alone(order: list[str], layers: int) -> tuple[Group, ...]:
    """One layer for each of the first, and one for the rest, `layers` in all."""
    cut = len(order) if len(order) <= layers else layers - 1
    return _filled(*(frozenset((key,)) for key in order[:cut]), frozenset(order[cut:]))


def _filled(*groups: Group) -> tuple[Group, ...]:
    return tuple(group for group in groups if group)
