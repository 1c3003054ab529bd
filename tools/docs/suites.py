"""The tests that packages ship: how many come out equal in an optimised image. Pure."""

from __future__ import annotations

from slimbake.console.tables import UNMEASURED

from .cells import table
from .inputs import Inputs

AT_LEAST = 50_000  # tests, for the claim to hold
_HEADS = ("package", "version", "tests run", "passed", "equal when run again", "differ")


def figures(inputs: Inputs) -> str:
    """A line for each package, and whether all of its tests come out equal."""
    packages = inputs.suites.get("packages", {})
    if not packages:
        return f"Packages' own tests: {UNMEASURED}: run `bench/suites.py`."
    rows = []
    for name, of in packages.items():
        part = f", one in {of['every']}" if of["every"] > 1 else ""
        rows.append(
            (
                name,
                of["version"],
                f"{of['tests']:,}{part}",
                f"{of['outcomes'].get('passed', 0):,}",
                f"{of['differed_once']:,}",
                f"{len(of['differences']):,}",
            )
        )
    tests = sum(of["tests"] for of in packages.values())
    differ = sum(len(of["differences"]) for of in packages.values())
    reached = tests >= AT_LEAST and not differ
    return "\n\n".join(
        (
            "The tests that packages ship, by `python -m pytest --pyargs` in an optimised image and in"
            " the same one with `optimize: false` (`bench/suites.py`). Each test has to come out the"
            " same: passed, skipped, failed. Where one differs, its file runs once more in both.",
            table(_HEADS, rows),
            f"{tests:,} tests, {differ:,} differ; no difference in {AT_LEAST:,} or more:"
            f" **{'true' if reached else 'not reached'}**.",
        )
    )
