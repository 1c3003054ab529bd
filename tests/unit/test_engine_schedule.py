"""The order of engine tests names tests that are there, and all that stand on the example."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from unittest.mock import Mock

import pytest

pytest.importorskip("xdist")

from tests.engine.schedule import EXAMPLE, FIRST, Beside, place

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


def test_what_comes_last_changes_from_turn_to_turn_and_the_first_do_not() -> None:
    def order(turn: str) -> list[str]:
        return sorted(MODULES, key=lambda name: place(f"tests/engine/test_{name}.py", turn))

    assert {tuple(order(turn)[: len(FIRST)]) for turn in ("", "one", "two")} == {FIRST}
    assert len({order(turn)[-1] for turn in map(str, range(20))}) > 1
    assert order("one") == order("one")
    assert sorted(order("one")) == sorted(order(""))


def first_of(worker: str, *tests: str) -> str:
    """The first module that a worker is given of these tests."""
    given: list[int] = []
    node = Mock(send_runtest_some=given.extend)
    node.gateway.id = worker
    made = Beside.__new__(Beside)
    made.assigned_work, made.registered_collections = {node: {}}, {node: list(tests)}
    made.workqueue = OrderedDict((made._split_scope(test), {test: False}) for test in tests)
    made._assign_work_unit(node)
    (number,) = given
    return tests[number].partition("::")[0]


@pytest.mark.parametrize(
    ("worker", "first"), [("gw0", "unit"), ("gw1", "engine"), ("gw2", "engine")]
)
def test_one_worker_begins_without_an_engine_and_the_others_with_one(
    worker: str, first: str
) -> None:
    modules = ("tests/unit/test_x.py", "tests/engine/test_fleet.py", "tests/lock/test_y.py")
    assert f"tests/{first}/" in first_of(worker, *(f"{module}::test" for module in modules))


@pytest.mark.parametrize("worker", ["gw0", "gw1"])
@pytest.mark.parametrize("module", ["tests/unit/test_x.py", "tests/engine/test_watch.py"])
def test_a_worker_takes_all_that_is_left(worker: str, module: str) -> None:
    assert first_of(worker, f"{module}::test") == module
