"""What the targets of the example cost, as a cold bake measured them. bench/README.md has the words
for people.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import tables
from setting import MANIFEST, ROOT
from timed import CONSOLE, say

from slimbake.build.known import last_images
from slimbake.build.timing import COSTS, costs
from slimbake.config import manifest
from slimbake.fleet import resolve
from slimbake.host.workspace import FOLDER, Workspace
from slimbake.images.measured import remembered
from slimbake.images.sizes import Measurement
from slimbake.plan import plan
from slimbake.plan.model import Plan

OUT = Path(__file__).resolve().parent / "scaling" / "example.json"
_STEP = re.compile(
    r"^(?P<target>[\w-]+): (?!smoke: )(?P<step>.*) \((?P<seconds>[\d.]+) s\)$", re.MULTILINE
)


def main() -> int:
    """Write the file; 4 where something was not measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="a checkout of this repository that was baked"
    )
    parser.add_argument(
        "--log",
        type=Path,
        help="stderr of its cold bake, where .slimbake/costs.json has no seconds",
    )
    arguments = parser.parse_args()
    made = plan(resolve(manifest(arguments.root / MANIFEST)))
    workspace = Workspace(arguments.root, CONSOLE)
    seconds = of_log(arguments.log.read_text()) if arguments.log else costs(workspace)
    measured = remembered(last_images(workspace), workspace)
    weighed = of_layers(made, measured)
    baked = made.needed((*made.group("default"), *made.group("smoke")))
    known = [target.name for target in baked if target.kind != "inside"]
    missing = {*known, *weighed} - seconds.keys()
    missing |= {*made.group("default")} - {i.name for i in measured.images if i.compressed}
    if missing:
        say(f"not measured: {', '.join(sorted(missing))}: run `slimbake bake --no-cache`")
        return 4
    value = {
        "source": "steps as `slimbake bake` printed them: without exports"
        if arguments.log
        else f"{FOLDER}/{COSTS}.json",
        "machine": tables.machine().partition(", load")[0],
        "seconds": {name: seconds[name] for name in sorted(seconds)},
        "bytes": weighed,
    }
    OUT.write_text(json.dumps(value, indent=1) + "\n")
    return 0


def of_log(text: str) -> dict[str, float]:
    """Seconds of each target's steps, from what a bake prints where there is no terminal."""
    found: dict[str, float] = {}
    for step in _STEP.finditer(text):
        found[step["target"]] = round(found.get(step["target"], 0.0) + float(step["seconds"]), 3)
    return found


def of_layers(made: Plan, measured: Measurement) -> dict[str, int]:
    """Compressed bytes of the layers that each target makes.

    A layer belongs to the first target that stands below exactly the services whose images have it.
    """
    holders: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    # variants that were baked beside them are no part of what is played
    services = made.group("default")
    for image in (image for image in measured.images if image.name in services):
        for layer in image.layers:
            holders.setdefault(layer.blob, set()).add(image.name)
            sizes[layer.blob] = layer.compressed or 0
    above = {
        target.name: {s for s in services if target in made.held((s,))}
        for target in made.needed(services)
        if target.kind in ("runtime", "base", "weights", "service")
    }
    found = dict.fromkeys(above, 0)
    for blob, having in holders.items():
        owners = [name for name, standing in above.items() if standing == having]
        for owner in owners[:1] or sorted(having):
            found[owner] += sizes[blob]
    return found


if __name__ == "__main__":
    sys.exit(main())
