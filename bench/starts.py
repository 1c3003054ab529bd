"""How much images take to start: each optimised and not, in turns. Processor time and memory until the
port listens. bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.counting.images import in_image, pairs

from slimbake.console import Console
from slimbake.project import load

ROOT = Path(__file__).resolve().parent.parent
SIDES = ("bare", "optimised")


def main() -> int:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", help="[default: all with a port]")
    parser.add_argument("--turns", type=int, default=7, help="starts of each side [%(default)s]")
    parser.add_argument("--manifest", type=Path, default=ROOT / "services.yaml")
    asked = parser.parse_args()
    console = Console()
    project = load(asked.manifest.resolve(), console)
    ports = {each.name: each for each in project.fleet.services if each.port and not each.volumes}
    names = tuple(asked.services or ports)
    found, rows = {}, []
    with pairs(project, names, console) as (images, _):
        for name in names:
            service = ports[name]
            words = {"command": [*service.entrypoint, *service.command], "port": service.port}
            sides: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
            for turn in range(asked.turns):
                for side in SIDES if turn % 2 == 0 else reversed(SIDES):
                    sides[side].append(in_image(getattr(images[name], side), "starts", words))
            found[name] = sides
            rows.append((name, *(_cell(sides, key) for key in ("cpu", "seconds", "memory"))))
            console.say("  ".join(rows[-1]))
    headings = ("service", "processor s", "s", "memory, MB")
    print(tables.markdown("Starts: not optimised, optimised, median of ratios", headings, rows))
    tables.save("starts", {"turns": asked.turns, "services": found}, stamped=False)
    return 0


def _cell(sides: dict[str, list[dict[str, Any]]], key: str) -> str:
    before, after = ([turn[key] for turn in sides[side]] for side in SIDES)
    ratio = tables.median(now / was for was, now in zip(before, after, strict=True))
    scale = 1e-6 if key == "memory" else 1
    was, now = ((tables.median(each) or 0) * scale for each in (before, after))
    return f"{was:.2f} {now:.2f} ({ratio:.3f})"


if __name__ == "__main__":
    sys.exit(main())
