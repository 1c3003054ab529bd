"""The tests that packages ship, run in an optimised image and in the same one without optimisation:
each test has to come out equal. bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.empty import remove_made
from bench.setting import ROOT
from bench.timed import FailedError, say
from bench.ways import OURS, UNOPTIMISED, built, original

from slimbake.checks.surroundings import HARDENED
from slimbake.docker.command import call
from slimbake.errors import SlimbakeError

FLEET = ROOT / "bench" / "fleets" / "suites"
SERVICE = "suites"
PLUGIN = ROOT / "bench" / "outcomes.py"
SITE = "/opt/slimbake/lib/python3.11/site-packages"
SIDES = (UNOPTIMISED, OURS)
RAN = (0, 1)  # pytest's exit codes: all tests passed, or some did not
WORKER = re.compile(r"gw\d+")
LIMIT = 3 * 3600.0  # seconds for the tests of one package
MEMORY = 8_000_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of a package."""

    package: str  # as it is imported
    every: int  # one test in so many is run
    marks: str = ""  # pytest's -m


SUITES = {
    "networkx": Suite("networkx", every=4),
    "numpy": Suite("numpy", every=1, marks="not slow"),
    "pandas": Suite(
        "pandas", every=10, marks="not slow and not network and not db and not single_cpu"
    ),
    "scikit-learn": Suite("sklearn", every=12),
    "scipy": Suite("scipy", every=20, marks="not slow and not xslow"),
    "sympy": Suite("sympy", every=16, marks="not slow and not tooslow"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of tests."""

    outcomes: Mapping[str, str]
    seconds: float


def main() -> int:
    """Run all suites, print the table, write the numbers; the exit code is 1 for a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", default=[], help=f"[{' '.join(SUITES)}]")
    parser.add_argument("--workers", type=int, default=2, help="of pytest-xdist [%(default)s]")
    parser.add_argument("--every", type=int, help="run one test in so many [each package's own]")
    parser.add_argument("--keep", action="store_true", help="leave the images in the engine")
    asked = parser.parse_args()
    if unknown := [name for name in asked.packages if name not in SUITES]:
        parser.error(f"no such package: {', '.join(unknown)}")
    names = asked.packages or list(SUITES)
    found = {}
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            root = original(FLEET, Path(scratch))
            images = built(root, [SERVICE], SIDES, Path(scratch))
            image_of = {side: images[side][SERVICE] for side in SIDES}
            versions = installed(image_of[OURS])
            for name in names:
                suite = SUITES[name]
                every = asked.every or suite.every
                found[name] = {
                    "version": versions[name],
                    "every": every,
                    **compared(suite, image_of, asked.workers, every),
                }
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}".rstrip())
        return error.exit_code
    finally:
        if not asked.keep:
            remove_made()
    return report(found, whole=not asked.packages and not asked.every)


def compared(suite: Suite, image_of: Mapping[str, str], workers: int, every: int) -> dict[str, Any]:
    """Run a suite in both images. Where outcomes differ, the files of these tests run once more in
    both, one test at a time: what is equal then depends on the moment, and is no difference.
    """
    selected = ["--pyargs", suite.package]
    if suite.marks:
        selected += ["-m", suite.marks]
    first = {}
    for side, image in image_of.items():
        say(f"{suite.package}: {side}")
        first[side] = run(image, [*selected, "-n", str(workers)], every)
        say(f"  {len(first[side].outcomes):,} tests in {first[side].seconds:,.0f} s")
    before, after = (first[side].outcomes for side in SIDES)
    again = differing(before, after)
    left = again
    if again:
        files = sorted({f"{SITE}/{name.partition('::')[0]}" for name in again})
        say(f"  {len(again):,} differ: running {len(files)} files again")
        second = [run(image, files, 1).outcomes for image in image_of.values()]
        left = {name: came for name, came in differing(*second).items() if name in again}
    return {
        "tests": len(before.keys() | after.keys()),
        "outcomes": dict(sorted(Counter(before.values()).items())),
        "differed_once": len(again) - len(left),
        "differences": left,
        "seconds": {side: first[side].seconds for side in SIDES},
    }


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """The tests that come out otherwise, each with both outcomes."""
    found = {}
    for name in sorted(before.keys() | after.keys()):
        came = [before.get(name, "not there"), after.get(name, "not there")]
        if came[0] != came[1]:
            found[name] = came
    return found


def run(image: str, arguments: Sequence[str], every: int) -> Run:
    """`python -m pytest` in a container of an image. Raises FailedError where it runs no test."""
    with tempfile.TemporaryDirectory(prefix="slimbake-bench-outcomes-") as folder:
        Path(folder).chmod(0o777)  # the container has another user
        words = (
            "docker",
            "run",
            "--rm",
            "--network=none",
            *HARDENED,
            "--user=65532:65532",
            "--tmpfs=/tmp:mode=1777,exec",
            f"--memory={MEMORY}",
            f"--volume={PLUGIN}:/plugin/outcomes.py:ro",
            f"--volume={folder}:/outcomes",
            "--env=PYTHONPATH=/plugin",
            "--env=HOME=/tmp",
            "--env=PYTHONHASHSEED=0",
            "--env=OUTCOMES=/outcomes/outcomes.json",
            f"--env=EVERY={every}",
            "--entrypoint=python",
            image,
            *("-m", "pytest", "-p", "outcomes", "-p", "no:cacheprovider"),
            *("--rootdir=/", "--continue-on-collection-errors", "-q", "--no-header", "--tb=no"),
            *arguments,
        )
        began = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
        seconds = time.monotonic() - began
        file = Path(folder) / "outcomes.json"
        if not file.is_file():
            raise FailedError(
                f"pytest wrote no outcomes\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return Run(json.loads(file.read_text()), seconds)


def installed(image: str) -> dict[str, str]:
    """The versions of the packages in an image."""
    program = (
        "import json, importlib.metadata as metadata, sys;"
        "print(json.dumps({name: metadata.version(name) for name in sys.argv[1:]}))"
    )
    words = ("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", program, *SUITES)
    return dict(json.loads(call(*words)))


def report(found: Mapping[str, Any], *, whole: bool) -> int:
    """The table on stdout, all numbers in a file."""
    headings = (
        "package",
        "version",
        "one in",
        "tests",
        "equal later",
        "differ",
        "s",
        "s, optimised",
    )
    lines = []
    for name, of in found.items():
        counts = (f"{of[key]:,}" for key in ("every", "tests", "differed_once"))
        seconds = (f"{of['seconds'][side]:,.0f}" for side in SIDES)
        lines.append((name, of["version"], *counts, f"{len(of['differences']):,}", *seconds))
    print(tables.markdown("Tests that packages ship", headings, lines))
    for name, of in found.items():
        for test, (before, after) in of["differences"].items():
            print(f"{name}: {test}: {before}, optimised: {after}")
    total = sum(of["tests"] for of in found.values())
    print(f"{total:,} tests")
    file = tables.save("suites", {"packages": found}, stamped=not whole)
    say(f"all numbers: {file}")
    return 1 if any(of["differences"] for of in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
