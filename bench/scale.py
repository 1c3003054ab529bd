"""How long a fleet takes on 1 to 64 nodes, and what is pushed and pulled. bench/README.md has the
words for people.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tables
from scaling.fleets import drawn, own
from scaling.simulated import Found, simulated
from setting import MANIFEST, ROOT
from timed import say

SIZES, NODES, SEEDS = (10, 30, 100, 300, 1_000), (1, 2, 4, 8, 16, 32, 64), 5
WITHIN = 0.15
HEADINGS = (
    "services, nodes",
    "s",
    "bound",
    "worst over",
    "whole jobs",
    "over that",
    "shards",
    "pushed MB",
    "pulled MB",
)


def main() -> int:
    """Print the table; 1 where shards are further than 15 % above what is possible, for no reason
    that is known.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="services of the fleets")
    parser.add_argument("--nodes", nargs="+", type=int, default=NODES)
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="fleets of each size: seeds 0, 1, ..."
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        help="MB/s of each node [default: transfers take no time]",
    )
    parser.add_argument(
        "--costs",
        type=Path,
        default=ROOT / "bench" / "scaling" / "example.json",
        help="what bench/costs.py wrote",
    )
    arguments = parser.parse_args()
    costs = json.loads(arguments.costs.read_text())
    rows, kept, good = [], {}, True
    for count, nodes, found in _runs(arguments, costs):
        rows.append(_row(count, nodes, found))
        kept[f"{count} on {nodes}"] = [asdict(each) for each in found]
        good = good and all(
            each.over <= WITHIN or each.makespan <= each.granular * (1 + WITHIN) for each in found
        )
    print(
        tables.markdown(
            f"Seeds 0 to {arguments.seeds - 1}: medians, and the worst of all seeds", HEADINGS, rows
        )
    )
    transfers = (
        f"{arguments.rate:g} MB/s, an assumption"
        if arguments.rate
        else "of transfers are not in it"
    )
    print(f"Costs: {costs['source']}; {costs['machine']}. Seconds {transfers}.")
    say(
        "all numbers:"
        f" {tables.save('scale', {'costs': costs, 'rate': arguments.rate, 'runs': kept})}"
    )
    return 0 if good else 1


def _runs(
    arguments: argparse.Namespace, costs: dict[str, Any]
) -> Iterator[tuple[str, int, list[Found]]]:
    file, rate = ROOT / MANIFEST, arguments.rate * 1e6
    example = own(file, costs)
    for nodes in (1, 2, 4):
        yield "the example's 8", nodes, [simulated(example, nodes, rate)]
    for count in arguments.sizes:
        say(f"{count} services")
        cases = [drawn(file, costs, count, seed) for seed in range(arguments.seeds)]
        for nodes in arguments.nodes:
            yield f"{count:,}", nodes, [simulated(case, nodes, rate) for case in cases]


def _row(count: str, nodes: int, found: Sequence[Found]) -> tuple[str, ...]:
    def middle(values: Sequence[float]) -> float:
        return statistics.median(values)

    worst = max(found, key=lambda each: each.over)
    alone = middle([each.makespan for each in found])
    return (
        f"{count}, {nodes}",
        f"{alone:.1f}",
        f"{middle([each.bound for each in found]):.1f}"
        + (" chain" if worst.bound == worst.chain else ""),
        f"{worst.over:.1%}",
        *(
            ("", "")
            if worst.over <= WITHIN
            else (f"{worst.granular:.1f}", f"{worst.makespan / worst.granular - 1:.1%}")
        ),
        f"{middle([each.shards for each in found]):.0f}",
        tables.megabytes(middle([each.pushed for each in found])),
        tables.megabytes(middle([each.pulled for each in found])),
    )


if __name__ == "__main__":
    sys.exit(main())
