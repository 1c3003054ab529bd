"""One-line edits of the example's services, in turns: by hand, by plain bake, by `slimbake bake`.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import tables
from empty import remove_made
from phases import edit
from setting import MANIFEST, ROOT, Setting, copied, prepared
from sides import OneByOne, Slimbake
from timed import CONSOLE, FailedError, run, say

from slimbake.build.command import BakeOptions, arguments, environment
from slimbake.build.edit import quick
from slimbake.build.place import still_built
from slimbake.build.site import Preparation, hold
from slimbake.config import manifest
from slimbake.docker import BUILD_ENVIRONMENT
from slimbake.fleet import resolve
from slimbake.plan import plan
from slimbake.project import load


@dataclass(slots=True)
class Turns:
    """Seconds of each turn, of one service."""

    hand: list[float] = field(default_factory=list)  # `docker build`
    plain: list[float] = field(default_factory=list)  # plain `docker buildx bake`
    image: list[float] = field(default_factory=list)  # as `slimbake bake` builds the image
    whole: list[float] = field(default_factory=list)  # `slimbake bake`, with all checks
    staged: bool = False  # an image was built by all stages

    def row(self, name: str) -> tuple[str, ...]:
        medians = [tables.median(each) for each in (self.hand, self.plain, self.image, self.whole)]
        pairs = [made / hand for made, hand in zip(self.image, self.hand, strict=True)]
        return (name, *map(tables.seconds, medians), tables.seconds(tables.median(pairs)))


def main() -> int:
    """Measure, print the table, write the numbers."""
    arguments = parse()
    known = plan(resolve(manifest(ROOT / MANIFEST))).group("default")
    services = tuple(arguments.services.split(",")) if arguments.services else known
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            found = measure(services, arguments.runs, Path(scratch))
    except FailedError as error:
        say(str(error))
        return 5
    finally:
        if not arguments.keep:
            remove_made()
    headings = (
        *("seconds, medians", "by hand", "plain bake", "image", "slimbake bake"),
        "image / by hand, paired",
    )
    print(tables.markdown("Edits", headings, [each.row(name) for name, each in found.items()]))
    print(f"{tables.machine()}, {arguments.runs} turns.")
    turns = {
        name: {key: getattr(each, key) for key in ("hand", "plain", "image", "whole")}
        for name, each in found.items()
    }
    say(f"all numbers: {tables.save('edits', {'services': turns})}")
    staged = [name for name, each in found.items() if each.staged]
    if staged:
        say(f"built by all stages: {', '.join(staged)}")
    elif services == known:
        say(f"for docs/results.md: {tables.save('edits', {'services': turns}, stamped=False)}")
    return 6 if staged else 0


def measure(services: tuple[str, ...], runs: int, scratch: Path) -> dict[str, Turns]:
    """Bake all, edit each once unmeasured, and then in turns."""
    root = copied(scratch / "copy")
    for command in ("lock", "generate"):
        run([sys.executable, "-m", "slimbake", command], root)
    setting = prepared(root, scratch)
    ours, hand = Slimbake(setting), OneByOne(setting)
    for side in (ours, hand):
        say(f"{side.name}: first bake, not measured")
        side.release(services)
    found = {name: Turns() for name in services}
    for name, turns in found.items():
        edit(setting, name, "first")
        say(f"{name}: first edit {ours.release((name,)):.2f} s")
        hand.build((name,))
        for number in range(runs):
            edit(setting, name, f"by hand {number}")
            turns.hand.append(hand.build((name,)))
            edit(setting, name, f"plain {number}")
            turns.plain.append(ours.build((name,)))
            edit(setting, name, f"image {number}")
            turns.image.append(image(setting, name, turns))
            edit(setting, name, f"whole {number}")
            turns.whole.append(ours.release((name,)))
        say(f"{name}: {turns.row(name)[1:]}")
    return found


def image(setting: Setting, name: str, turns: Turns) -> float:
    """Build the image as `slimbake bake` does, without its checks: the seconds of settling the code,
    and of buildx.
    """
    root = setting.root
    with hold(load(root / MANIFEST), Preparation(targets=(name,)), CONSOLE) as site:
        site = site.stocked((name,))
        _, before = still_built(site, (name,))
        began = time.perf_counter()
        made, options = quick(site, (name,), BakeOptions(), before.edits, before.held)
        words = arguments(made, (name,), site.around, options)
        variables = {**environment(site.around, options), **BUILD_ENVIRONMENT}
        buildx = (site.engine.program,) if site.engine.program else ("docker", "buildx")
        run([*buildx, "bake", *words], root, env=variables)
        turns.staged |= made is site.plan
        return time.perf_counter() - began


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", default="", metavar="A,B", help="only these (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="turns (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the images in the engine")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
