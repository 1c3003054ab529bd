"""Better a plan step by step, with its true value: what trees and cuts, one after the other, cannot
see together. Pure.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from functools import reduce
from operator import and_, or_

from slimbake.fleet.layering.space import IMPOSSIBLE, Path, Space, bits

# The steps that may better a plan: what can be cut, joined, moved, shared.

# Single items of a layer that are tried for a layer elsewhere: the heaviest.
_HEAVY = 12

# New paths of some images.
Step = dict[int, Path]


def loose(space: Space, paths: list[Path]) -> Iterator[tuple[int, list[int]]]:
    """What may be worth a new place: each part of each layer, for all images with the part, or with
    the layer.
    """
    layers = dict.fromkeys(layer for path in paths for layer in path)
    for part in dict.fromkeys(
        part for layer in layers for part in (*_parts(space, paths, layer), layer)
    ):
        yield (
            part,
            [
                image
                for image, path in enumerate(paths)
                if any(layer & part == part for layer in path)
            ],
        )
    for layer in layers:
        images = [image for image, path in enumerate(paths) if layer in path]
        for part in _parts(space, paths, layer):
            yield part, images


def moves(space: Space, paths: list[Path]) -> Iterator[Step]:
    """Every step from a plan."""
    through: defaultdict[Path, list[int]] = defaultdict(list)
    for image, path in enumerate(paths):
        for depth in range(len(path) + 1):
            through[path[:depth]].append(image)
    yield from _swaps(paths, through)
    yield from _shares(space, paths, through)
    for prefix, images in through.items():
        if prefix:
            yield from _cuts(space, paths, prefix, images)


def _cuts(space: Space, paths: list[Path], prefix: Path, images: list[int]) -> Iterator[Step]:
    """A part of a layer becomes one of its own, here or wherever the layer lies, or goes to another
    layer of the image.
    """
    at, layer = len(prefix) - 1, prefix[-1]
    everywhere = [image for image, path in enumerate(paths) if layer in path]
    for part in _parts(space, paths, layer):
        rest = layer ^ part
        for pair in ((part, rest), (rest, part)):
            yield {image: _fit(space, replaced(paths[image], at, pair)) for image in images}
            if len(everywhere) > len(images):
                yield {
                    i: _fit(space, replaced(paths[i], paths[i].index(layer), pair))
                    for i in everywhere
                }
        yield {i: _fit(space, (*replaced(paths[i], at, (rest,)), part), 1) for i in images}
        for other in range(at):
            yield {i: with_part_moved(paths[i], at, other, part) for i in images}
        yield {i: with_part_moved(paths[i], at, at + 1, part) for i in images}
        for image in images:
            for other in range(at + 2, len(paths[image])):
                yield {image: with_part_moved(paths[image], at, other, part)}


def _parts(space: Space, paths: list[Path], layer: int) -> Iterator[int]:
    """What may be better elsewhere: what other images need of a layer, what other layers hold of
    it, its heaviest items.
    """
    heavy = heapq.nlargest(_HEAVY, bits(layer), key=lambda item: sum(space.sums(1 << item)))
    found = dict.fromkeys(1 << item for item in heavy)
    found |= dict.fromkeys(layer & image for image in space.images)
    found |= dict.fromkeys(layer & other for path in paths for other in path)
    return (part for part in found if part and part != layer)


def _swaps(paths: list[Path], through: dict[Path, list[int]]) -> Iterator[Step]:
    """Two layers change places, for the images of the upper one."""
    for prefix, images in through.items():
        if len(prefix) > 1:
            swapped = (*prefix[:-2], prefix[-1], prefix[-2])
            yield {i: swapped + paths[i][len(prefix) :] for i in images}


def _shares(space: Space, paths: list[Path], through: dict[Path, list[int]]) -> Iterator[Step]:
    """Images that part here take something that they all need along together."""
    for prefix, images in through.items():
        if len(images) < 2:
            continue
        at = len(prefix)
        rests = {image: reduce(or_, paths[image][at:], 0) for image in images}
        groups: dict[tuple[int, ...], None] = {}
        for item in bits(reduce(or_, rests.values())):
            groups[tuple(image for image in images if rests[image] >> item & 1)] = None
        for number, one in enumerate(images):
            for other in images[number + 1 :]:
                groups[one, other] = None
        for group in groups:
            if len(group) > 1:
                common = reduce(and_, (rests[image] for image in group))
                packages = common & ~space.weights
                for shared in {
                    packages: None,
                    **{1 << model: None for model in bits(common & space.weights)},
                }:
                    if shared:
                        yield {i: _fit(space, _lifted(paths[i], at, shared)) for i in group}


def _lifted(path: Path, at: int, part: int) -> Path:
    return (*path[:at], part, *(layer & ~part for layer in path[at:] if layer & ~part))


def replaced(path: Path, at: int, layers: Path) -> Path:
    """Other layers in place of one."""
    return path[:at] + layers + path[at + 1 :]


def with_part_moved(path: Path, at: int, to: int, part: int) -> Path:
    """A part of one layer in another one of the same image; as it was, where there is no such
    layer.
    """
    if to >= len(path):
        return path
    layers = list(path)
    layers[at] ^= part
    layers[to] |= part
    return tuple(filter(None, layers))


def _fit(space: Space, path: Path, top: int = 0) -> Path:
    """Within the limit, by merging the uppermost layers, but for so many at the top."""
    while len(path) > max(space.limits.free, 1):
        at = max(len(path) - 2 - top, 0)
        path = (*path[:at], path[at] | path[at + 1], *path[at + 2 :])
    return path


# Plans to weigh below which none is: it would find nothing.
_FEWEST = 300


def polish(space: Space, paths: list[Path], tries: int) -> list[Path]:
    """Take any step that betters the plan, until none does or so many plans have been weighed:
    O(images * layers) each.
    """
    if tries < _FEWEST or sum(image.bit_count() for image in space.images) < 2:
        return paths
    search = Search(space, paths, tries)
    while search.once():
        pass
    return search.paths


class Search:
    """A plan that is being bettered, and how many more may be weighed."""

    def __init__(self, space: Space, paths: list[Path], tries: int) -> None:
        self.space, self.paths, self.tries = space, paths, tries
        self.value = space.value(paths)

    def weigh(self, paths: list[Path]) -> float:
        """The value of a plan."""
        self.tries -= 1
        return self.space.value(paths)

    def once(self) -> bool:
        """Take the first step that betters the plan; whether there was one."""
        for step in moves(self.space, self.paths):
            if self.tries <= 0:
                return False
            if self._take([step.get(image, path) for image, path in enumerate(self.paths)]):
                return True
        for part, images in loose(self.space, self.paths):
            if self.tries <= 0:
                return False
            if self._take(self.put_back(part, images)):
                return True
            for layer in dict.fromkeys(
                layer for image in images for layer in self.paths[image] if not layer & part
            ):
                if self.tries > 0 and self._take(self.put_back(part, images, layer)):
                    return True
        return False

    def _take(self, paths: list[Path]) -> bool:
        value = self.weigh(paths)
        if value >= self.value - 1e-6:
            return False
        self.paths, self.value = paths, value
        return True

    def put_back(self, part: int, images: list[int], into: int = 0) -> list[Path]:
        """Take some items out of these images, then give them to one after the other, each time
        where it costs least.

        `into`: a layer that takes them wherever it lies.
        """
        paths = list(self.paths)
        for image in images:
            taken = (layer & ~part for layer in paths[image] if layer & ~part)
            paths[image] = tuple(layer | part if layer == into else layer for layer in taken)
        for image in images:
            if into in paths[image] or into | part in paths[image]:
                continue
            path = paths[image]
            ways = [(*path[:at], part, *path[at:]) for at in range(len(path) + 1)]
            ways += [replaced(path, at, (layer | part,)) for at, layer in enumerate(path)]
            if len(path) == self.space.limits.free:
                merged = [
                    with_part_moved(path, at, at + 1, path[at]) for at in range(len(path) - 1)
                ]
                ways += [
                    (*way[:at], part, *way[at:]) for way in merged for at in range(len(way) + 1)
                ]
            best, path = IMPOSSIBLE, ways[0]
            for way in ways:
                paths[image] = way
                value = self.weigh(paths)
                if value < best:
                    best, path = value, way
            paths[image] = path
        return paths
