"""Fingerprints of a fleet of many services with many files, one very large context, and
large weights.

Whole processes, and the fingerprints alone in one: medians of several runs. bench/README.md has the
words for people.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.fleet import write_slimbake
from bench.timed import run, say

LOCKS = Path(__file__).with_name("made_up_locks.py")
SERVICES = 1_000
FILES = 100  # of each service
CONTEXT = 100_000  # files of one service
WEIGHTS = 1 << 30  # bytes
SMALL, LARGE = 200, 4_000  # bytes of a file: most modules are between them

ALONE = """\
import gc, os, sys, time
from pathlib import Path
from slimbake.fingerprint import accounts
from slimbake.project import load
from slimbake.render.generated import generate
gc.disable()
project = load(Path("services.yaml"))
plan = project.plan
files = {each.path: each for each in generate(plan, project.root)}
started = time.perf_counter()
found = accounts(plan, project.root, project.workspace, files=files)
print(time.perf_counter() - started, sum(1 for each in found if each.fingerprint), len(plan.targets))
"""


def main() -> int:
    """Measure, print the table, write the numbers."""
    arguments = parse()
    rows, results = [], []
    for name, write in cases(arguments):
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            root = Path(scratch) / "fleet"
            say(f"{name}: writing")
            write(root)
            committed(root)
            alone, since = [], []
            for number in range(arguments.runs):
                say(f"{name}: run {number + 1} of {arguments.runs}")
                alone.append(fingerprints(root))
                since.append(timed(root))
        middle = [tables.median(times) for times in (alone, since)]
        rows.append((name, *map(tables.seconds, middle), str(arguments.runs)))
        results.append({"case": name, "alone": alone, "since": since})
    headings = ("fleet", "fingerprints alone s", "plan --since HEAD~1 s", "runs")
    print(tables.markdown("fingerprint, medians", headings, rows))
    print(
        f"{tables.machine()}. Files lie in the page cache; only files of {1 << 18:,} bytes and more"
        " are recorded."
    )
    say(f"all numbers: {tables.save('fingerprint', {'cases': results})}")
    return 0


def cases(arguments: argparse.Namespace) -> list[tuple[str, Callable[[Path], None]]]:
    """What is measured: its name, and what writes it."""
    services, files, context = arguments.services, arguments.files, arguments.context
    return [
        (f"{services:,} services of {files} files", lambda root: write(root, services, files)),
        (f"1 service of {context:,} files", lambda root: write(root, 1, context)),
        (
            f"1 service, {WEIGHTS / 1e9:.1f} GB in one file",
            lambda root: write(root, 1, 10, WEIGHTS),
        ),
    ]


def write(root: Path, services: int, files: int, large: int = 0) -> None:
    """Write a fleet with locks, externals of known digests, and so many more files of each service."""
    write_slimbake(root, services)
    numbers = random.Random(services)  # noqa: S311 - the same files at every run
    for folder in (root / "services").iterdir():
        for number in range(files - 3):  # it has three
            path = folder / f"part{number // 100}" / f"module{number % 100}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(numbers.randbytes(numbers.randint(SMALL, LARGE)))
        if large:
            (folder / "weights.bin").write_bytes(numbers.randbytes(1 << 20) * (large >> 20))
    run((sys.executable, LOCKS), root)
    run(slimbake("generate"), root)


def committed(root: Path) -> None:
    """Commit everything, then an edit of one file."""
    git = (
        "git",
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.com",
        "-c",
        "commit.gpgsign=false",
    )
    run((*git, "init", "--quiet"), root)
    for text in ("one", "two"):
        next((root / "services").iterdir()).joinpath("edited.py").write_text(text)
        run((*git, "add", "--all"), root)
        run((*git, "commit", "--quiet", "--message", text), root)


def timed(root: Path) -> float | None:
    """Seconds of a whole process that compares with a commit."""
    done = run(slimbake("plan", "--since", "HEAD~1"), root)
    return done.seconds if done else None


def fingerprints(root: Path) -> float:
    """Seconds of the fingerprints alone, in a process that has the plan and what is generated."""
    words = (sys.executable, "-c", ALONE)
    seconds, known, targets = subprocess.run(
        words, cwd=root, check=True, capture_output=True, text=True
    ).stdout.split()
    assert known == targets, "a fingerprint that is not known costs less"
    return float(seconds)


def slimbake(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "slimbake", *words)


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=SERVICES, help="(default: %(default)s)")
    parser.add_argument(
        "--files", type=int, default=FILES, help="of each service (default: %(default)s)"
    )
    parser.add_argument(
        "--context", type=int, default=CONTEXT, help="files of one service (default: %(default)s)"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
