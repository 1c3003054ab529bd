"""The layer planner beside other ways to cut a fleet's images into layers. bench/README.md has the
words for people.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tables
from layering import compared
from layering.exact import best
from layering.fleets import Case, example, synthetic, tiny
from layering.judged import faults
from slimbake.fleet.layering.space import Space
from timed import say

from slimbake.fleet.layering.cost import Cost, cost, least_cost
from slimbake.fleet.layering.model import LayerLimits, LayerPlan, Prices
from slimbake.fleet.layering.planner import layer_plan

SIZES = (50, 200, 1_000)
NIXPKGS = 100
"""nixpkgs' own limit: far above ours, so that it is seen what its rule does with it."""
TINY = ((4, 5, 3, 40), (4, 6, 4, 10))
"""Images, items, layers and number of fleets that are small enough to know the best plan."""
OURS = "slimbake"
HEADINGS = ("", "objective", "host", "registry", "pulled", "waste", "layers", "s")


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cost: Cost
    value: float
    seconds: float  # of the processor: all ways are one thread


def main() -> int:
    """Print the tables; 1 where the planner was worse than another way, or further than 2 % from
    the best plan.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sizes", nargs="*", type=int, default=SIZES, help="services of the synthetic fleets"
    )
    sizes = parser.parse_args().sizes
    limits, prices = LayerLimits(), Prices()
    kept: dict[str, Any] = {"limits": asdict(limits), "prices": asdict(prices), "fleets": {}}
    good = True
    for case in (example(Path(__file__).resolve().parent.parent), *map(synthetic, sizes)):
        say(f"{case.name}")
        least = least_cost(case.fleet)
        rows = [_row(case, name, way, prices) for name, way in _ways(case, limits)]
        good = good and min(rows, key=lambda row: row.value).name == OURS
        print(
            tables.markdown(
                f"{case.name}: MB", HEADINGS, [*map(_cells, rows), _least(least, prices)]
            )
        )
        kept["fleets"][case.name] = {"bound": asdict(least), "ways": [asdict(row) for row in rows]}
    found = [_exact(*kind, prices) for kind in TINY]
    good = good and all(gap < 0.02 for gaps in found for gap in gaps)
    kept["exact"] = [{"kind": kind, "gaps": gaps} for kind, gaps in zip(TINY, found, strict=True)]
    headings = (
        "images, items, layers",
        "fleets",
        "best plan found",
        "mean above it",
        "worst above it",
    )
    cells = [
        (
            f"{images}, {items}, {layers}",
            str(count),
            str(sum(gap < 1e-6 for gap in gaps)),
            f"{sum(gaps) / count:.2%}",
            f"{max(gaps):.2%}",
        )
        for (images, items, layers, count), gaps in zip(TINY, found, strict=True)
    ]
    print(tables.markdown("beside the best plan there is", headings, cells))
    say(f"all numbers: {tables.save('layers', kept)}")
    return 0 if good else 1


def _ways(case: Case, limits: LayerLimits) -> Iterator[tuple[str, Callable[[], LayerPlan]]]:
    fleet, free = case.fleet, limits.free
    yield "one image each", lambda: compared.one_image_each(fleet)
    yield "one common base", lambda: compared.common_base(fleet)
    yield "one base with everything", lambda: compared.everything_base(fleet)
    yield "nixpkgs, popularity", lambda: compared.popularity(fleet, case.requires, case.asked, free)
    yield (
        f"nixpkgs, {NIXPKGS} layers",
        lambda: compared.popularity(fleet, case.requires, case.asked, NIXPKGS),
    )
    yield "apko, largest groups", lambda: compared.largest(fleet, free)
    if case.written:
        yield "written by hand", lambda: case.written or LayerPlan(())
    yield OURS, lambda: layer_plan(fleet, limits)


def _row(case: Case, name: str, way: Callable[[], LayerPlan], prices: Prices) -> Row:
    start = time.process_time()
    plan = way()
    seconds = time.process_time() - start
    if name == OURS:
        assert not faults(case.fleet, plan, LayerLimits())
    counted = cost(case.fleet, plan)
    return Row(name, counted, counted.value(prices), seconds)


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (row.value, row.cost.host, row.cost.registry, row.cost.pulled, row.cost.waste)
    return (
        row.name,
        *map(tables.megabytes, numbers),
        str(row.cost.layers),
        tables.seconds(row.seconds),
    )


def _least(least: Cost, prices: Prices) -> tuple[str, ...]:
    numbers = (least.value(prices), least.host, least.registry, least.pulled, 0)
    return ("lower bound", *map(tables.megabytes, numbers), "", "")


def _exact(images: int, items: int, layers: int, count: int, prices: Prices) -> list[float]:
    """How far the planner is from the best plan, for each of some small fleets."""
    say(f"{count} fleets of {images} images and {items} items")
    gaps = []
    for seed in range(count):
        space = Space(tiny(seed, images, items), prices, LayerLimits(layers, 0))
        ours = space.paths(layer_plan(space.fleet, space.limits, prices))
        gaps.append(max(space.value(ours) / space.value(best(space, ours)) - 1, 0.0))
    return gaps


if __name__ == "__main__":
    sys.exit(main())
