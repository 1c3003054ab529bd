"""Find the layers of a fleet. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from slimbake.layering.model import Demand, LayerLimits, LayerPlan, Needs, Prices
from slimbake.layering.polish import Search, polish
from slimbake.layering.shape import contract, improve
from slimbake.layering.space import IMPOSSIBLE, Path, Space
from slimbake.layering.split import split_tree
from slimbake.layering.stable import carried_over, keep_previous
from slimbake.layering.tree import Ground, agglomerate, divide

EFFORT = 200_000
"""Images looked at while a plan is polished: a larger fleet weighs fewer plans, so that it takes as
long as a small one.
"""
_SMALL = 16
"""Distinct images up to which there are drafts for the fleet without one class of items, too."""
_CLASSES = 10
"""The classes of items, the heaviest, that such drafts leave out."""
_MIDDLE, _MANY = 60, 300
"""Distinct images up to which all kinds of drafts are made, and trees are grown from the leaves."""
_STARTS, _FEW_STARTS = 6, 2
"""Drafts that are polished: of small fleets, and of others."""


def layer_plan(
    fleet: Demand,
    limits: LayerLimits | None = None,
    prices: Prices | None = None,
    previous: LayerPlan | None = None,
    effort: int = EFFORT,
) -> LayerPlan:
    """The best plan found for a fleet: without waste, within the limit, and the same for the same
    fleet.

    `previous`: the plan as it was before the fleet changed. What it has and a new plan moves counts
    (`Prices.moved`), so a layer changes only where that saves more than it costs. Raises ValueError
    where no plan keeps the limit: it leaves no layer, or fewer than an image has weights.
    """
    if not fleet.images:
        return LayerPlan(())
    space = Space(fleet, prices or Prices(), limits or LayerLimits())
    if previous:
        keep_previous(space, previous)
    found = [*draft_plans(space), *((carried_over(space, previous),) if previous else ())]
    count = _STARTS if len(space.images) <= _SMALL else _FEW_STARTS
    starts = sorted({tuple(paths): None for paths in found}, key=space.value)[:count]
    tries = effort // (len(space.images) * len(starts))
    best = min((polish(space, list(paths), tries) for paths in starts), key=space.value)
    if space.value(best) == IMPOSSIBLE:
        raise ValueError(f"no plan has at most {space.limits.free} layers for items")
    return space.plan(best)


def draft_plans(space: Space) -> Iterator[list[Path]]:
    """Plans to start from: trees from the leaves up and from the root down, each fitted into the
    limit and cut.
    """
    yield from _trees(space)
    if len(space.images) <= _SMALL:
        ground = Ground(space, 1.0)
        for _, members in sorted(zip(ground.weight, ground.members, strict=True), reverse=True)[
            :_CLASSES
        ]:
            yield from _without(space, members)


def _trees(space: Space) -> Iterator[list[Path]]:
    count, most = len(space.images), space.limits.free
    for part in (1.0, 0.2) if count <= _MIDDLE else (1.0,):
        ground = Ground(space, part)
        trees = [divide(ground, most)]
        if count <= _MANY:
            trees.append(agglomerate(ground))
        for tree in trees:
            for layers in range(
                1 if count <= _MIDDLE else max(1, most - 2), most + 1 - (count > _MIDDLE)
            ):
                small = contract(ground, tree, layers)
                yield split_tree(space, ground, small)
                yield split_tree(space, ground, improve(ground, small, layers, 3))


def _without(space: Space, members: int) -> Iterator[list[Path]]:
    """Drafts for the fleet without some items, which are then put where they cost least: a tree
    would put what all have in common at its root, and sometimes a layer is worth more than that.
    """
    left_out = {key for key in space.keys if space.bit[key] & members}
    images = tuple(Needs(image.service, image.items - left_out) for image in space.fleet.images)
    reduced = Space(replace(space.fleet, images=images), space.prices, space.limits)
    with_them = [number for number, image in enumerate(space.images) if image & members]
    for paths in {tuple(paths): None for paths in _trees(reduced)}:
        search = Search(space, space.paths(reduced.plan(paths)), 0)
        yield search.put_back(members, with_them)
