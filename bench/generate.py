"""`slimbake generate` for fleets of several sizes, beside posit-bakery 0.8 that renders and plans
as many images.

Whole processes, in turn: each run of one side is followed by a run of the other. bench/README.md
has the words for people.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.fleet import CONTAINERFILE, write_bakery, write_slimbake
from bench.timed import FailedError, Run, run, say

SIZES = (8, 100, 1_000, 10_000)
LARGE = 10_000
"""From this size on `--quick` leaves posit-bakery out."""
BENCH = Path(__file__).resolve().parent
PINS = BENCH / "posit-bakery.txt"
BAKERY_PYTHON = ">=3.12"
"""posit-bakery 0.8.0 says 3.11, but renders with Path.walk, which came with 3.12."""


@dataclass(slots=True)
class Side:
    """One thing that is measured for one fleet: how a run of it is made, and what the runs gave."""

    name: str
    once: Callable[[float], Run | None]
    """Makes one run, within so many seconds."""
    rendered: Callable[[], int]
    """Counts the images that a run has rendered."""
    size: int
    runs: list[Run] = field(default_factory=list)
    why: str = ""
    """Why it is not run any more."""

    @property
    def spent(self) -> float:
        return sum(each.seconds for each in self.runs)

    @property
    def seconds(self) -> float | None:
        return tables.median(each.seconds for each in self.runs)

    @property
    def peak(self) -> float | None:
        return tables.median(each.peak for each in self.runs)

    def go(self, limit: float) -> None:
        """Run once more, unless this side has used its time."""
        if self.why:
            return
        if self.spent >= limit:
            self.why = f"stopped after {self.spent:.0f} s"
            return
        try:
            done = self.once(limit - self.spent)
        except FailedError as error:
            self.why = "failed"
            say(str(error))
            return
        if done is None:
            self.why = f"not done within {limit:.0f} s"
        elif self.rendered() != self.size:
            self.why = f"rendered {self.rendered()} images"
        else:
            self.runs.append(done)
        say(f"  {self.name}: {self.why or f'{self.runs[-1].seconds:.2f} s'}")


def main() -> int:
    """Measure, print the table, write the numbers."""
    arguments = parse()
    bakery = bakery_python()
    results = []
    rows = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            skip = "left out by --quick" if arguments.quick and size >= LARGE else ""
            sides = tuple(prepared(Path(scratch), size, arguments.pythons, bakery, skip))
            for number in range(arguments.runs):
                say(f"{size} services, run {number + 1} of {arguments.runs}")
                for side in sides:
                    side.go(arguments.limit)
        rows.append(row(size, *sides))
        results.append({"services": size, "sides": [described(side) for side in sides]})
    print(tables.markdown("generate, whole process, medians", HEADINGS, rows))
    print(f"{tables.machine()}. {versions(bakery)}.")
    for result in results:
        for side in result["sides"]:
            if side["why"]:
                print(f"{result['services']:,} services, {side['name']}: {side['why']}.")
    say(
        f"all numbers: {tables.save('generate', {'fleets': results, 'versions': versions(bakery)})}"
    )
    return (
        1 if any(side["why"] == "failed" for result in results for side in result["sides"]) else 0
    )


HEADINGS = (
    "services",
    "slimbake generate s",
    "peak MB",
    "generate again s",
    "posit-bakery s",
    "peak MB",
    "time: theirs / ours",
    "memory: theirs / ours",
    "runs",
)


def row(size: int, ours: Side, check: Side, theirs: Side) -> tuple[str, ...]:
    """A fleet's line of the table."""
    return (
        f"{size:,}",
        tables.seconds(ours.seconds),
        tables.megabytes(ours.peak),
        tables.seconds(check.seconds),
        tables.seconds(theirs.seconds),
        tables.megabytes(theirs.peak),
        tables.ratio(theirs.seconds, ours.seconds),
        tables.ratio(theirs.peak, ours.peak),
        f"{len(ours.runs)}, {len(theirs.runs)}",
    )


def described(side: Side) -> dict[str, object]:
    """A side's numbers, each run's too."""
    return {
        "name": side.name,
        "seconds": side.seconds,
        "peak": side.peak,
        "runs": [asdict(each) for each in side.runs],
        "why": side.why,
    }


def prepared(
    scratch: Path, size: int, pythons: int, bakery: Path | None, skip: str
) -> Iterator[Side]:
    """Write the two fleets and say how each is run; slimbake writes all files at each run, as
    posit-bakery does.
    """
    say(f"{size} services: writing the fleets")
    ours, theirs = scratch / "slimbake", scratch / "bakery"
    write_slimbake(ours, size, pythons)
    slimbake = (sys.executable, "-m", "slimbake", "generate")

    def again(limit: float) -> Run | None:
        (ours / "docker-bake.hcl").unlink(missing_ok=True)
        shutil.rmtree(ours / "bake", ignore_errors=True)
        return run(slimbake, ours, limit=limit)

    def check(limit: float) -> Run | None:
        return run(slimbake, ours, limit=limit)

    def bake(limit: float) -> Run | None:
        return run((str(bakery), BENCH / "bakery.py", theirs), theirs, limit=limit)

    def our_images() -> int:
        return sum(1 for _ in ours.glob("bake/dockerfiles/service-*.Dockerfile"))

    def their_images() -> int:
        return sum(1 for _ in theirs.glob(f"*/1.0.0/{CONTAINERFILE}"))

    yield Side("slimbake generate", again, our_images, size)
    yield Side("slimbake generate, as it was", check, our_images, size)
    why = skip if bakery else f"there is no Python {BAKERY_PYTHON} for it"
    if not why:
        write_bakery(theirs, size)
    yield Side("posit-bakery", bake, their_images, size, why=why)


def bakery_python() -> Path | None:
    """The Python of an environment that holds exactly the pinned posit-bakery; made at the first
    call.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slimbake" / "bench"
    folder = cache / f"posit-bakery-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if python.exists():
        return python
    say(f"installing posit-bakery into {folder}")
    half = folder.with_suffix(f".{os.getpid()}")
    made = subprocess.run(
        uv(
            "venv",
            "--quiet",
            "--relocatable",
            "--no-python-downloads",
            "--python",
            BAKERY_PYTHON,
            half,
        )
    )
    if made.returncode:
        return None
    subprocess.run(
        uv("pip", "install", "--quiet", "--python", half, "--compile-bytecode", "-r", PINS),
        check=True,
    )
    half.rename(folder)
    return python


def uv(*words: str | Path) -> list[str | Path]:
    """A call of the uv that slimbake depends on, by its module: its package would stay in our
    memory.
    """
    return [sys.executable, "-m", "uv", *words]


def versions(bakery: Path | None) -> str:
    """Which Python each side runs on."""
    asked = (
        subprocess.run([bakery, "--version"], capture_output=True, text=True).stdout.strip()
        if bakery
        else "absent"
    )
    return f"slimbake on Python {sys.version.split()[0]}, posit-bakery 0.8.0 on {asked}"


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sizes",
        nargs="*",
        type=int,
        default=SIZES,
        help="numbers of services (default: %(default)s)",
    )
    parser.add_argument(
        "--runs", type=int, default=5, help="of each side for each size (default: %(default)s)"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=300.0,
        help="seconds that a side may use up for one size (default: %(default)s)",
    )
    parser.add_argument(
        "--pythons",
        type=int,
        default=1,
        help="versions of Python of a fleet (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"leave posit-bakery out for fleets of {LARGE:,} and more",
    )
    arguments = parser.parse_args()
    if arguments.runs < 1 or min(arguments.sizes) < 1:
        parser.error("at least one run and one service")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
