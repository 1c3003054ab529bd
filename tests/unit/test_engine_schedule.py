"""The order of engine tests names tests that are there, and all that stand on the example."""

from pathlib import Path

import pytest

pytest.importorskip("xdist")

from tests.engine.schedule import EXAMPLE, FIRST

MODULES = {
    path.stem.removeprefix("test_"): path
    for path in (Path(__file__).parents[1] / "engine").glob("test_*.py")
}


def test_modules_that_are_named_are_there() -> None:
    assert {*EXAMPLE, *FIRST} <= {*MODULES}


def test_what_uses_the_fleet_that_is_baked_once_runs_in_one_worker() -> None:
    uses = {name for name, path in MODULES.items() if "baked: dict[" in path.read_text("utf-8")}
    assert uses
    assert uses <= {*EXAMPLE}
