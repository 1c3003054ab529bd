"""Carry a plan over to the fleet as it is now, so that what has not changed keeps its layers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_

from slimbake.layering.cost import item_name, item_names
from slimbake.layering.model import Chain, LayerPlan
from slimbake.layering.polish import Search
from slimbake.layering.space import Path, Space, bits


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
        # else an earlier rule: begin anew
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
