"""Cold bake and no-op bake of the example fleet, beside hand-written Dockerfiles; and all sizes.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.empty import empty, remove_made
from bench.frozen import freeze, stale
from bench.phases import Bench, Found
from bench.setting import MANIFEST, ROOT, copied, prepared
from bench.sides import sides
from bench.timed import FailedError, run, say

from slimbake.errors import SlimbakeError
from slimbake.project import load

NAMES = ("slimbake", "one by one", "parallel")


def main() -> int:
    """Measure, print the tables, write the numbers."""
    arguments = parse()
    whole = load(ROOT / MANIFEST).plan
    if arguments.freeze:
        changed = freeze(whole, ROOT)
        say(f"frozen again: {', '.join(changed) or 'nothing'}")
        return 0
    if old := stale(whole, ROOT):
        say(
            f"the baselines of {', '.join(old)} hold other versions than bake/locks/: run bench/bake.py"
            " --freeze"
        )
        return 4
    known = whole.group("default")
    services = selected(arguments.services, known)
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            return benchmark(arguments, whole.project, services, Path(scratch))
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}")
        return error.exit_code


def benchmark(
    arguments: argparse.Namespace,
    project: str,
    services: tuple[str, ...],
    scratch: Path,
) -> int:
    """Run the whole benchmark in a copy of the repository."""
    root = copied(scratch / "copy")
    for command in ("lock", "generate"):  # a bake would do so too, on its own time
        run([sys.executable, "-m", "slimbake", command], root)
    setting = prepared(root, scratch)
    measured = sides(setting, [name for name in NAMES if name.replace(" ", "-") in arguments.sides])
    bench = Bench(
        setting=setting,
        services=services,
        cold_runs=arguments.cold_runs,
        runs=arguments.runs,
        empty=(lambda: empty(project)) if arguments.engine_is_mine else None,
    )
    try:
        found = bench.measure(measured)
    finally:
        if not arguments.keep:
            remove_made()
    print(times(found))
    print(weights(found, services))
    print(
        f"{tables.machine()}. Python is"
        f" {'a stand-in' if setting.around.standins else 'the real image'}."
    )
    broken = [
        f"{name}: {s}"
        for name, side in found.items()
        for s, holds in side.smokes.items()
        if not holds
    ]
    if not arguments.engine_is_mine:
        print("Cold bakes are unmeasured: they empty the engine, which needs --engine-is-mine.")
    if broken:
        print(f"Smokes that fail: {'; '.join(broken)}.")
    value = {"services": services, "sides": {name: side.as_json() for name, side in found.items()}}
    say(f"all numbers: {tables.save('bake', value)}")
    complete = bench.empty and services == setting.plan.group("default")
    if complete and len(found) == len(NAMES) and not broken:
        say(f"for docs/results.md: {tables.save('bake', value, stamped=False)}")
    return 6 if broken else 0


def times(found: dict[str, Found]) -> str:
    """The table of seconds."""
    first, *others = found
    rows = [
        line("cold bake", [side.cold for side in found.values()]),
        line("no-op bake", [side.noop for side in found.values()]),
    ]
    headings = ("seconds, medians", *found, *(f"{name} / {first}" for name in others))
    return tables.markdown("Time", headings, rows)


def line(name: str, runs: list[list[float]]) -> tuple[str, ...]:
    """A line of the table of seconds."""
    medians = [tables.median(each) for each in runs]
    ratios = [tables.ratio(median, medians[0]) for median in medians[1:]]
    return (name, *map(tables.seconds, medians), *ratios)


def weights(found: dict[str, Found], services: tuple[str, ...]) -> str:
    """The table of sizes."""
    rows = []
    for service in services:
        cells: list[str] = []
        for side in found.values():
            images = side.sizes.images if side.sizes else ()
            image = next((image for image in images if image.name == service), None)
            cells.append(tables.megabytes(image.uncompressed if image else None))
            cells.append(tables.megabytes(image.compressed if image else None))
        rows.append((service, *cells))
    host, registry = ["all, on a host"], ["all, on a registry"]
    for side in found.values():
        host += [tables.megabytes(side.sizes.host if side.sizes else None), ""]
        registry += ["", tables.megabytes(side.sizes.registry if side.sizes else None)]
    headings = ["MB"]
    for name in found:
        headings += [f"{name}: uncompressed", "compressed"]
    return tables.markdown("Size", headings, (*rows, host, registry))


def selected(wanted: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The names in a list with commas, in the order known; all where it is empty."""
    names = [name for name in wanted.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"there is no {', '.join(unknown)}; there are: {', '.join(known)}")
    return tuple(name for name in known if not names or name in names)


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", default="", metavar="A,B", help="only these (default: all)")
    parser.add_argument(
        "--sides",
        default=SIDES,
        metavar="A,B",
        help="of slimbake, one-by-one, parallel (default: all)",
    )
    parser.add_argument("--runs", type=int, default=5, help="of no-op bakes (default: %(default)s)")
    parser.add_argument(
        "--cold-runs", type=int, default=1, help="of cold bakes (default: %(default)s)"
    )
    parser.add_argument(
        "--engine-is-mine",
        action="store_true",
        help=(
            "measure cold bakes too: REMOVES this project's images and ALL build cache from the"
            " engine"
        ),
    )
    parser.add_argument("--keep", action="store_true", help="leave the images in the engine")
    parser.add_argument(
        "--freeze",
        action="store_true",
        help="write the baselines' requirements again, from bake/locks/",
    )
    arguments = parser.parse_args()
    arguments.sides = [name for name in arguments.sides.split(",") if name]
    if unknown := sorted(set(arguments.sides) - set(SIDES.split(","))):
        parser.error(f"unknown side: {', '.join(unknown)}")
    if not arguments.sides or arguments.runs < 1 or arguments.cold_runs < 1:
        parser.error("at least one side and one run")
    return arguments


SIDES = ",".join(name.replace(" ", "-") for name in NAMES)

if __name__ == "__main__":
    sys.exit(main())
