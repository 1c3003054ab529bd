"""The treemap's rectangles: as large as bytes are, none over another, all of them in the picture."""

import random
from itertools import combinations, pairwise

import pytest

from slimbake.report.treemap import PICTURE, Box, squarified

CASES = [
    [1],
    [6, 6, 4, 3, 2, 2, 1],
    [1] * 17,
    [10**12, 3, 2, 1],
    *(
        sorted((random.Random(seed).randint(1, 10**9) for _ in range(60)), reverse=True)  # noqa: S311
        for seed in range(20)
    ),
]


def overlap(one: Box, other: Box) -> float:
    """The area that both have."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(width, 0) * max(height, 0)


@pytest.mark.parametrize("sizes", CASES)
@pytest.mark.parametrize("box", [PICTURE, Box(3, 5, 7, 60)], ids=["wide", "tall"])
def test_areas_are_in_proportion_and_do_not_overlap(sizes: list[int], box: Box) -> None:
    boxes = squarified(sizes, box)
    whole = box.width * box.height
    for size, tile in zip(sizes, boxes, strict=True):
        assert tile.width * tile.height == pytest.approx(whole * size / sum(sizes))
        assert overlap(tile, box) == pytest.approx(tile.width * tile.height)
    assert sum(overlap(*pair) for pair in combinations(boxes, 2)) < whole * 1e-9


def test_rectangles_are_near_to_squares() -> None:
    boxes = squarified([1000 - size for size in range(100)])
    assert max(max(b.width / b.height, b.height / b.width) for b in boxes) < 2


def test_nothing_is_drawn_of_nothing() -> None:
    assert squarified([]) == ()


def test_the_largest_stand_left_and_above() -> None:
    boxes = squarified([6, 6, 4, 3, 2, 2, 1])
    assert all((a.x, a.y) <= (b.x, b.y) for a, b in pairwise(boxes[:2]))
    assert (boxes[0].x, boxes[0].y) == (0, 0)
