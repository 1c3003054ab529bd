"""Find the layers of a fleet. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from slimbake.layers.model import Fleet, LayerPlan, Limits, Prices
from slimbake.layers.shape import contract, improve
from slimbake.layers.space import Path, Space
from slimbake.layers.split import split
from slimbake.layers.tree import Ground, agglomerate, divide


def layer_plan(fleet: Fleet, limits: Limits | None = None, prices: Prices | None = None) -> LayerPlan:
    space = Space(fleet, prices or Prices(), limits or Limits())
    return space.plan(min(drafts(space), key=space.value))


def drafts(space: Space) -> Iterator[list[Path]]:
    for part in (1.0, 0.2):
        ground = Ground(space, part)
        for tree in (agglomerate(ground), divide(ground, space.limits.free)):
            for layers in range(1, space.limits.free + 1):
                small = contract(ground, tree, layers)
                yield split(space, ground, small)
                yield split(space, ground, improve(ground, small, layers, 3))
