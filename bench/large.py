"""The commands that plan, for fleets of 1,000 and 10,000 services: time and memory of whole
processes, and what each takes for ten times as many services. bench/README.md has the words for
people.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.fleet import write_fleet
from bench.timed import FailedError, Run, run, say

LOCKS = Path(__file__).with_name("made_up_locks.py")
SIZES = (1_000, 10_000)
COMMANDS = (
    ("generate",),
    ("check",),
    ("plan",),
    ("layers",),
    ("report",),
)


def main() -> int:
    """Measure, print the table, write the numbers."""
    arguments = parse()
    found: dict[str, dict[int, list[Run]]] = {" ".join(words[:2]): {} for words in arguments.of}
    failed = False
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            root = Path(scratch) / "fleet"
            say(f"{size:,} services: writing")
            write_fleet(root, size)
            run((sys.executable, LOCKS), root)
            run(slimbake("generate"), root)
            for number in range(arguments.runs):
                for words in arguments.of:
                    say(f"{size:,} services, run {number + 1}: {words[0]}")
                    try:
                        done = once(words, root, arguments.limit)
                    except FailedError as error:
                        say(str(error))
                        done, failed = None, True
                    if done:
                        found[" ".join(words[:2])].setdefault(size, []).append(done)
    columns = (f"{size:,}: {unit}" for size in arguments.sizes for unit in ("s", "CPU s", "MB"))
    headings = ("command", *columns, "times the CPU", "memory")
    rows = [row(name, runs, arguments.sizes) for name, runs in found.items()]
    print(tables.markdown("Whole processes, medians", headings, rows))
    print(f"{tables.machine()}. Python {sys.version.split()[0]}.")
    numbers = {n: {s: [asdict(r) for r in e] for s, e in runs.items()} for n, runs in found.items()}
    say(f"all numbers: {tables.save('large', {'commands': numbers})}")
    return 1 if failed else 0


def once(words: tuple[str, ...], root: Path, limit: float) -> Run | None:
    """Run a command; `generate` writes all files, as for a new fleet."""
    if words == ("generate",):
        (root / "docker-bake.hcl").unlink(missing_ok=True)
        for folder in ("dockerfiles", "programs"):
            shutil.rmtree(root / "bake" / folder, ignore_errors=True)
        (root / "bake" / "compose.yaml").unlink(missing_ok=True)
    return run(slimbake(*words), root, limit=limit)


def row(name: str, runs: dict[int, list[Run]], sizes: list[int]) -> tuple[str, ...]:
    """A command's line of the table; its last columns: the largest fleet beside the smallest."""
    seconds = [tables.median(each.seconds for each in runs.get(size, ())) for size in sizes]
    processor = [tables.median(each.processor for each in runs.get(size, ())) for size in sizes]
    peaks = [tables.median(each.peak for each in runs.get(size, ())) for size in sizes]
    cells = (
        (tables.seconds(wall), tables.seconds(cpu), tables.megabytes(peak))
        for wall, cpu, peak in zip(seconds, processor, peaks, strict=True)
    )
    return (
        name,
        *itertools.chain.from_iterable(cells),
        tables.ratio(processor[-1], processor[0]),
        tables.ratio(peaks[-1], peaks[0]),
    )


def slimbake(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "slimbake", *words)


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="numbers of services")
    parser.add_argument("--runs", type=int, default=3, help="of each (default: %(default)s)")
    parser.add_argument(
        "--limit", type=float, default=120.0, help="seconds of one run (default: %(default)s)"
    )
    parser.add_argument("--only", nargs="+", default=[], help="commands (default: all)")
    found = parser.parse_args()
    found.of = [words for words in COMMANDS if not found.only or words[0] in found.only]
    return found


if __name__ == "__main__":
    sys.exit(main())
