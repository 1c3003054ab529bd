"""Other ways to cut images into layers, as plain functions: a fleet in, a plan out.

They know nothing of each other's images but what their rule says; that is what they are compared
for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slimbake.fleet.layering.model import Chain, Demand, Group, LayerPlan


def one_image_each(fleet: Demand) -> LayerPlan:
    """No sharing: all that a service needs in one layer, as from one `pip install`. Equal sets are
    one layer.
    """
    return LayerPlan(tuple(Chain(image.service, (image.items,)) for image in fleet.images))


def common_base(fleet: Demand) -> LayerPlan:
    """One base that holds what every service needs, and one layer more for each."""
    base = frozenset.intersection(*(image.items for image in fleet.images))
    return LayerPlan(tuple(Chain(i.service, _filled(base, i.items - base)) for i in fleet.images))


def everything_base(fleet: Demand) -> LayerPlan:
    """One base that holds all that any service needs: nothing is stored twice, and every image
    carries everything.
    """
    base = frozenset[str]().union(*(image.items for image in fleet.images))
    return LayerPlan(tuple(Chain(image.service, (base,)) for image in fleet.images))


def popularity(
    fleet: Demand,
    requires: Mapping[str, Iterable[str]],
    asked: Mapping[str, Iterable[str]],
    layers: int,
) -> LayerPlan:
    """nixpkgs' `dockerTools.buildLayeredImage`: the most popular paths get a layer each, the last
    layer the rest.

    Taken from nixpkgs' closure-graph.py and `buildLayeredImage`'s `maxLayers` (100 by default):
    each image has a contest of its own, over its own graph. A path counts once for each way from
    the root, and more the deeper it lies: its count in the contest of a child counts there once
    more. Order: popularity, then name. The first `layers` - 1 paths in that order are layers of
    their own.
    """
    plan = []
    for image in fleet.images:
        counts = _contest(tuple(asked[image.service]), requires, {})
        order = sorted(image.items, key=lambda key: (-counts.get(key, 0), key))
        plan.append(Chain(image.service, _alone(order, layers)))
    return LayerPlan(tuple(plan))


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


def _contest(
    children: tuple[str, ...],
    requires: Mapping[str, Iterable[str]],
    known: dict[str, dict[str, int]],
) -> dict[str, int]:
    counts: dict[str, int] = {}
    for child in children:
        counts[child] = counts.get(child, 0) + 1
        if child not in known:
            known[child] = _contest(tuple(requires.get(child, ())), requires, known)
        for below, count in known[child].items():
            counts[below] = counts.get(below, 0) + count + 1
    return counts


def _alone(order: list[str], layers: int) -> tuple[Group, ...]:
    """One layer for each of the first, and one for the rest, `layers` in all."""
    cut = len(order) if len(order) <= layers else layers - 1
    return _filled(*(frozenset((key,)) for key in order[:cut]), frozenset(order[cut:]))


def _filled(*groups: Group) -> tuple[Group, ...]:
    return tuple(group for group in groups if group)
