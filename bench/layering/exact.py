"""The best plan there is, found by going through all of them: for fleets of a few images with a few
items each.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from slimbake.fleet.layering.space import Path, Space, bits


def best(space: Space, start: list[Path]) -> list[Path]:
    """A plan of least value. `start`: any plan, to leave out at once all that is no better.

    Goes through the images, and for each through all ways to cut it into layers; a way is left when
    what it costs so far, and what the rest will cost at least (each item that is new, once), is not
    less than the best plan known. Exact, and exponential.
    """
    images = sorted(range(len(space.images)), key=lambda number: -space.images[number].bit_count())
    value, found = space.value(start), list(start)
    new: list[int] = []
    seen = 0
    for number in images:
        new.append(space.images[number] & ~seen)
        seen |= space.images[number]
    rest = [0.0] * (len(images) + 1)
    for at in reversed(range(len(images))):
        rest[at] = rest[at + 1] + sum(sum(space.sums(1 << item)) for item in bits(new[at]))

    def go(
        at: int,
        spent: float,
        places: frozenset[Path],
        layers: frozenset[int],
        paths: dict[int, Path],
    ) -> None:
        nonlocal value, found
        if at == len(images):
            if spent < value - 1e-6:
                value, found = spent, [paths[number] for number in range(len(images))]
            return
        number = images[at]
        ways = []
        for path in _paths(space.images[number], space.limits.free, space.weights):
            cost = sum(
                space.sums(path[d])[0] for d in range(len(path)) if path[: d + 1] not in places
            )
            cost += sum(space.sums(layer)[1] for layer in path if layer not in layers)
            if spent + cost + rest[at + 1] < value - 1e-6:
                ways.append((cost, path))
        for cost, path in sorted(ways):
            if spent + cost + rest[at + 1] >= value - 1e-6:
                break
            here = places.union(path[: d + 1] for d in range(len(path)))
            go(at + 1, spent + cost, here, layers.union(path), {**paths, number: path})

    go(0, 0.0, frozenset(), frozenset(), {})
    return found


@cache
def _paths(mask: int, layers: int, weights: int) -> tuple[Path, ...]:
    """All ways to cut items into at most so many layers, in every order."""
    return tuple(_cuts(mask, layers, weights))


def _cuts(mask: int, layers: int, weights: int) -> Iterator[Path]:
    if not mask:
        yield ()
    elif layers:
        first = mask
        while first:
            if not first & weights or first.bit_count() == 1:
                for others in _paths(mask ^ first, layers - 1, weights):
                    yield (first, *others)
            first = (first - 1) & mask
