"""How long images take to start, and how much memory: each optimised and not, in turns.
bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.counting.images import pairs

from slimbake.checks.start import started
from slimbake.console import Console
from slimbake.project import load

ROOT = Path(__file__).resolve().parent.parent
SIDES = ("bare", "optimised")


def main() -> int:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", help="[default: all]")
    parser.add_argument("--turns", type=int, default=7, help="starts of each side [%(default)s]")
    parser.add_argument("--manifest", type=Path, default=ROOT / "services.yaml")
    asked = parser.parse_args()
    console = Console()
    project = load(asked.manifest.resolve(), console)
    running = {each.service: each for each in project.plan.services}
    names = asked.services or tuple(running)
    found, rows = {}, []
    with pairs(project, names, console) as (images, _):
        for name in names:
            sides: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for turn in range(asked.turns):
                for side in SIDES if turn % 2 == 0 else reversed(SIDES):
                    each = started(getattr(images[name], side), running[name], 1)
                    sides[side].append({"startup": each.startup, "rss": each.rss})
            found[name] = sides
            times = [[turn["startup"] for turn in sides[side]] for side in SIDES]
            ratios = [after / before for before, after in zip(*times, strict=True)]
            medians = (*map(tables.median, times), tables.median(ratios))
            rows.append((name, *map(tables.seconds, medians)))
            console.say(" ".join(rows[-1]))
    headings = ("start, s", "not optimised", "optimised", "ratio")
    print(tables.markdown("Starts", headings, rows))
    tables.save("starts", {"turns": asked.turns, "services": found}, stamped=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
