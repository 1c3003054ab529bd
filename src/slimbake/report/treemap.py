"""A squarified treemap (Bruls, Huizing, van Wijk, 2000): rectangles as large as bytes are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in the units of `PICTURE`."""

    x: float
    y: float
    width: float
    height: float


PICTURE = Box(0, 0, 160, 100)  # about as a wide screen shows it


def squarified(sizes: Sequence[int], box: Box = PICTURE) -> tuple[Box, ...]:
    """A rectangle for each size, as near to a square as it gets; together they fill the box.

    `sizes`: the largest first, none of them 0.
    """
    boxes: list[Box] = []
    while waiting := sizes[len(boxes) :]:
        is_wide, short = box.width >= box.height, min(box.width, box.height)
        scale = box.width * box.height / sum(waiting)
        areas = [size * scale for size in waiting]
        worsens = (
            n
            for n in range(1, len(areas))
            if _worst(areas[: n + 1], short) > _worst(areas[:n], short)
        )
        count = next(worsens, len(areas))
        depth, along = sum(areas[:count]) / short, 0.0
        for area in areas[:count]:
            side = area / depth
            boxes.append(
                Box(box.x, box.y + along, depth, side)
                if is_wide
                else Box(box.x + along, box.y, side, depth)
            )
            along += side
        box = (
            Box(box.x + depth, box.y, box.width - depth, box.height)
            if is_wide
            else Box(box.x, box.y + depth, box.width, box.height - depth)
        )
    return tuple(boxes)


def _worst(row: Sequence[float], short: float) -> float:
    """The longest rectangle of a row along the short side: how often its length is its breadth."""
    depth = sum(row) / short
    return max(max(depth * depth / area, area / (depth * depth)) for area in row)
