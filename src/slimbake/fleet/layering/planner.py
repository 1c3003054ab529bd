"""Find the layers of a fleet. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from operator import and_, or_

from slimbake.fleet.layering.cost import item_name, item_names
from slimbake.fleet.layering.model import Chain, Demand, LayerLimits, LayerPlan, Needs, Prices
from slimbake.fleet.layering.polish import Search, polish
from slimbake.fleet.layering.space import IMPOSSIBLE, Path, Space, bits
from slimbake.fleet.layering.split import split_tree
from slimbake.fleet.layering.tree import Ground, agglomerate, contract, divide, improve

# Images looked at while a plan is polished: a larger fleet weighs fewer plans, so that it takes as
# long as a small one.
EFFORT = 200_000
# Distinct images up to which there are drafts for the fleet without one class of items, too.
_SMALL = 16
# The classes of items, the heaviest, that such drafts leave out.
_CLASSES = 10
# Distinct images up to which all kinds of drafts are made, and trees are grown from the leaves.
_MIDDLE, _MANY = 60, 300
# Drafts that are polished: of small fleets, and of others.
_STARTS, _FEW_STARTS = 6, 2


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
    limit and cut, and what a person would do by a rule, which no plan shall be worse than.
    """
    yield from _trees(space)
    yield from (paths for paths in _by_rules(space) if space.value(paths) < IMPOSSIBLE)
    if len(space.images) <= _SMALL:
        ground = Ground(space, 1.0)
        for _, members in sorted(zip(ground.weight, ground.members, strict=True), reverse=True)[
            :_CLASSES
        ]:
            yield from _without(space, members)


def _by_rules(space: Space) -> Iterator[list[Path]]:
    """All of an image in one layer; what all share below it; the largest items each alone."""
    yield [_filled(space, (), image) for image in space.images]
    common = reduce(and_, space.images)
    base = _filled(space, (), common)
    yield [_filled(space, base, image & ~common) for image in space.images]
    order = sorted(range(len(space.keys)), key=lambda item: (-space.host[item], item))
    for count in (space.limits.free, space.limits.free - 1):
        alone = [
            tuple(1 << item for item in order if image >> item & 1)[:count]
            for image in space.images
        ]
        yield [
            _filled(space, path, image ^ sum(path))
            for path, image in zip(alone, space.images, strict=True)
        ]


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
        paths = Search(space, paths, 0).put_back(part, [image for image in at if image >= 0])
    return paths


def _stand(space: Space, paths: list[Path], image: int) -> Path:
    """A path for a new image: on layers that are there, and the rest in layers that are there or in
    one of its own.
    """
    needs, most = space.images[image], space.limits.free
    ways: list[Path] = [_filled(space, (), needs)]
    layers = sorted(
        {layer for path in paths for layer in path},
        key=lambda layer: (-space.sums(layer)[1], layer),
    )
    for prefix in dict.fromkeys(path[:depth] for path in paths for depth in range(len(path) + 1)):
        held = reduce(or_, prefix, 0)
        if held & needs == held:
            ways.append(_filled(space, prefix, needs ^ held))
            rest, way = needs ^ held, prefix
            for layer in layers:
                if (
                    layer & rest == layer
                    and len(_filled(space, (*way, layer), rest ^ layer)) <= most
                ):
                    way, rest = (*way, layer), rest ^ layer
            ways.append(_filled(space, way, rest))
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
