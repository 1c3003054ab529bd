"""Find the layers of a fleet. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import and_, or_

from slimbake.fleet.layering.cost import item_name, item_names
from slimbake.fleet.layering.model import Chain, Demand, LayerLimits, LayerPlan, Prices
from slimbake.fleet.layering.space import IMPOSSIBLE, Path, Space, bits
from slimbake.fleet.layering.split import split_tree
from slimbake.fleet.layering.tree import Ground, agglomerate, contract, divide

# Distinct images up to which all kinds of drafts are made, and trees are grown from the leaves.
_MIDDLE, _MANY = 60, 300


def layer_plan(
    fleet: Demand,
    limits: LayerLimits | None = None,
    prices: Prices | None = None,
    previous: LayerPlan | None = None,
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
    found = [*_trees(space), *_by_rules(space)]
    found += [carried_over(space, previous)] if previous else []
    best = min(found, key=lambda paths: (space.value(paths), paths))
    if space.value(best) == IMPOSSIBLE:
        raise ValueError(f"no plan has at most {space.limits.free} layers for items")
    return space.plan(best)


def _by_rules(space: Space) -> Iterator[list[Path]]:
    """What a person would do by a rule, which no plan shall be worse than: all of an image in one
    layer; what all share below it.
    """
    yield [_filled(space, (), image) for image in space.images]
    common = reduce(and_, space.images)
    base = _filled(space, (), common)
    yield [_filled(space, base, image & ~common) for image in space.images]


def _trees(space: Space) -> Iterator[list[Path]]:
    """Trees from the leaves up and from the root down, each fitted into the limit and cut."""
    count, most = len(space.images), space.limits.free
    for part in (1.0, 0.2) if count <= _MIDDLE else (1.0,):
        ground = Ground(space, part)
        for tree in (divide(ground, most), *((agglomerate(ground),) if count <= _MANY else ())):
            for layers in range(1 if count <= _MIDDLE else max(1, most - 2), most + 1):
                yield split_tree(space, ground, contract(ground, tree, layers))


# Carry a plan over to the fleet as it is now, so that what has not changed keeps its layers.


def keep_previous(space: Space, previous: LayerPlan) -> None:
    """Have the space count what a plan moves, compared with an earlier one. A new version of an
    item is no move.
    """
    kept = set()
    for image, chain in _chains(space, previous):
        for group in chain.groups:
            mask = _mask(space, image, group)
            if len(item_names(group)) == mask.bit_count():
                kept.add(mask)
    before = item_names(key for group in previous.groups for key in group)
    space.kept = frozenset(kept)
    space.known = space.mask(key for key in space.keys if item_name(key) in before)


def carried_over(space: Space, previous: LayerPlan) -> list[Path]:
    """The earlier plan for the fleet as it is: services that are new stand where they cost least,
    and so do new items.
    """
    paths: list[Path] = [()] * len(space.images)
    for image, chain in _chains(space, previous):
        layers = (_mask(space, image, group) for group in chain.groups)
        path = tuple(layer for layer in layers if layer)
        # else an earlier rule: begin again
        if sum(path) == reduce(or_, path, 0) and len(path) <= space.limits.free:
            paths[image] = path
    missing = {
        image: needs & ~reduce(or_, paths[image], 0) for image, needs in enumerate(space.images)
    }
    for image in [image for image, path in enumerate(paths) if not path]:
        paths[image] = _stand(space, paths, image)
        del missing[image]
    groups: dict[tuple[int, ...], int] = {}
    for item in range(len(space.keys)):
        images = tuple(image for image, absent in missing.items() if absent >> item & 1)
        if images:
            kind = space.weights >> item & 1
            at = (*images, -item - 1) if kind else images
            groups[at] = groups.get(at, 0) | 1 << item
    for at, part in groups.items():
        for image in (image for image in at if image >= 0):
            path = paths[image]
            ways = [(*path[:depth], part, *path[depth:]) for depth in range(len(path) + 1)]
            ways += [
                (*path[:depth], layer | part, *path[depth + 1 :])
                for depth, layer in enumerate(path)
            ]
            paths[image] = min(
                ways, key=lambda way: space.value([*paths[:image], way, *paths[image + 1 :]])
            )
    return paths


def _stand(space: Space, paths: list[Path], image: int) -> Path:
    """A path for a new image: on layers that are there, and the rest in one of its own."""
    needs = space.images[image]
    ways: list[Path] = [_filled(space, (), needs)]
    for prefix in dict.fromkeys(path[:depth] for path in paths for depth in range(len(path) + 1)):
        held = reduce(or_, prefix, 0)
        if held & needs == held:
            ways.append(_filled(space, prefix, needs ^ held))
    return min(ways, key=lambda way: space.value([*paths, way]))


def _filled(space: Space, path: Path, rest: int) -> Path:
    """A path, and what remains above it."""
    others = rest & ~space.weights
    models = tuple(1 << model for model in bits(rest & space.weights))
    return (*path, *models, others) if others else (*path, *models)


def _chains(space: Space, previous: LayerPlan) -> Iterator[tuple[int, Chain]]:
    """Of each distinct image, the earlier layers of one of its services, where there are any."""
    before = {chain.service: chain for chain in previous.chains}
    for image, services in enumerate(space.services):
        for service in services:
            if service in before:
                yield image, before[service]
                break


def _mask(space: Space, image: int, group: frozenset[str]) -> int:
    """What an image needs of a group now, in whichever version."""
    wanted = item_names(group)
    return sum(
        1 << item for item in bits(space.images[image]) if item_name(space.keys[item]) in wanted
    )
