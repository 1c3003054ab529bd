"""Better a plan step by step, with its true value: what trees and cuts, one after the other, cannot
see together. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from slimbake.layering.space import IMPOSSIBLE, Path, Space
from slimbake.layering.steps import loose, moves, replaced, with_part_moved

T = TypeVar("T")

_WORSE = 0.05
"""How much worse than the best a plan may be to go on from."""
_FEWEST = 300
"""Plans to weigh below which none is: it would find nothing."""


def polish(space: Space, paths: list[Path], tries: int) -> list[Path]:
    """Take whatever step betters the plan, until none does or so many plans have been weighed:
    O(images * layers) each.
    """
    if tries < _FEWEST or sum(image.bit_count() for image in space.images) < 2:
        return paths
    search = Search(space, paths, tries)
    search.run()
    best, value = search.paths, search.value
    dice = Random(0)  # noqa: S311  # the same fleet gives the same plan
    here = best
    while search.tries > 0:
        search.tries -= 1  # where there is nothing to try, too
        search.paths = here
        search.kick(dice)
        search.run()
        if search.value < value * (1 + _WORSE):
            here = search.paths
        if search.value < value - 1e-6:
            best, value = search.paths, search.value
    return best


class Search:
    """A plan that is being bettered, and how many more may be weighed."""

    def __init__(self, space: Space, paths: list[Path], tries: int) -> None:
        self.space, self.paths, self.tries = space, paths, tries
        self.value = space.value(paths)

    def weigh(self, paths: list[Path]) -> float:
        """The value of a plan."""
        self.tries -= 1
        return self.space.value(paths)

    def run(self) -> None:
        """Take steps until none betters the plan."""
        while self.once():
            pass

    def kick(self, dice: Random) -> None:
        """Take a few steps that may make the plan worse: from there the way may lead to a better
        one.
        """
        for _ in range(1 + int(dice.random() * 3)):
            for _ in range(20):
                parts = list(loose(self.space, self.paths)) if dice.random() < 0.5 else []
                ways = [] if parts else list(moves(self.space, self.paths))
                if parts:
                    part, images = _one(dice, parts)
                    paths = self.put_back(
                        part, images, _one(dice, (0, *self.paths[_one(dice, images)]))
                    )
                elif ways:
                    step = _one(dice, ways)
                    paths = [step.get(image, path) for image, path in enumerate(self.paths)]
                else:
                    return
                value = self.weigh(paths)
                if value < IMPOSSIBLE:
                    self.paths, self.value = paths, value
                    break

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


def _one(dice: Random, among: Sequence[T]) -> T:
    # random() gives the same numbers with every version of Python, choice() need not.
    return among[int(dice.random() * len(among))]
