"""What optimisation costs a cold bake of the example fleet: with it and without, taking turns.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.empty import cold_only, empty, remove_made
from bench.setting import MANIFEST, PREFIX, ROOT, copied, prepared
from bench.timed import FailedError, run, say

from slimbake.config import manifest
from slimbake.errors import SlimbakeError

SIDES = ("without", "with")
AT_MOST = 5.0  # seconds that optimisation may add


def main() -> int:
    """Measure, print the table, write the numbers. The exit code is 6 where optimisation takes
    longer than it may.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3, help="cold bakes of each side [%(default)s]")
    parser.add_argument("--keep", action="store_true", help="leave the images in the engine")
    arguments = cold_only(parser)
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            found, services = measured(Path(scratch), arguments.runs)
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}")
        return error.exit_code
    finally:
        if not arguments.keep:
            remove_made()
    return report(found, services)


def measured(scratch: Path, runs: int) -> tuple[dict[str, list[float]], tuple[str, ...]]:
    """Seconds of the cold bakes of each side, and what was baked. All that bakes take from outside
    is there before.
    """
    checked = manifest(ROOT / MANIFEST)
    roots = {}
    for side in SIDES:
        (scratch / side).mkdir()
        roots[side] = copied(scratch / side / "copy")
        without_budgets(roots[side] / MANIFEST)
        if side == "without":
            unoptimised(roots[side] / MANIFEST)
        for command in ("lock", "generate"):  # a bake would do so too, on its own time
            run([sys.executable, "-m", "slimbake", command], roots[side])
        prepared(roots[side], scratch / side)
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(runs):
        for side in SIDES if turn % 2 == 0 else reversed(SIDES):
            empty(checked.project)
            # what a bake knows of earlier ones
            shutil.rmtree(roots[side] / ".slimbake", ignore_errors=True)
            os.sync()  # what the bake before wrote would otherwise be on its way to the disk
            words = [sys.executable, "-m", "slimbake", "bake", "--registry", f"{PREFIX}/slimbake"]
            done = run(words, roots[side])
            assert done is not None  # no limit was set
            found[side].append(done.seconds)
            say(f"{side} optimisation, {turn + 1} of {runs}: {done.seconds:.1f} s")
    return found, tuple(service.name for service in checked.services)


def without_budgets(file: Path) -> None:
    """Images without optimisation are over the budgets of those with: a bake would end there."""
    text = file.read_text("utf-8")
    kept, count = re.subn(r"^ +budget: \{.*\}\n", "", text, flags=re.MULTILINE)
    assert count == text.count("budget:"), "a budget is not in a line of its own"
    file.write_text(kept, encoding="utf-8")


def unoptimised(file: Path) -> None:
    """Turn optimisation off in a manifest: of the fleet, and so of all that is in it."""
    assert "optimize" not in file.read_text("utf-8"), "the manifest says `optimize` itself"
    with file.open("a", encoding="utf-8") as text:
        text.write("\noptimize: false\n")


def report(found: dict[str, list[float]], services: tuple[str, ...]) -> int:
    """The table on stdout, all numbers in a file."""
    before, after = (tables.median(found[side]) for side in SIDES)
    assert before is not None and after is not None
    rows = [
        (
            "cold bake",
            *map(tables.seconds, (before, after, after - before)),
            tables.ratio(after, before),
        )
    ]
    headings = ("seconds, medians", "not optimised", "optimised", "more", "ratio")
    print(
        tables.markdown(f"Optimisation in a cold bake of {len(services)} services", headings, rows)
    )
    print(f"{tables.machine()}, git {_commit()}.")
    sides = {side: {"median": tables.median(runs), "runs": runs} for side, runs in found.items()}
    say(
        "all numbers:"
        f" {tables.save('prune', {'services': services, 'sides': sides}, stamped=False)}"
    )
    return 0 if after - before <= AT_MOST else 6


def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
