"""What a person sees of work that goes on."""

import threading

import pytest

from slimbake.console import Console
from slimbake.console import tracker as trackers
from slimbake.console.progress import ProgressView, WorkItem, drawn, headline

BAKE = ProgressView(
    "bake",
    72.4,
    (
        WorkItem("runtime", "cached", "shared"),
        WorkItem("base-ml", "running", "shared", 31.0, "build layer torch  installing 48 wheels"),
        *(WorkItem(name, "waits", "services") for name in ("nlg", "hybrid")),
        WorkItem("api", "done", "services", 3.0),
        WorkItem("api-smoke", "failed", "checks", 2.0, "smoke: KeyError: 'answer'"),
        WorkItem("nlg-smoke", "waits", "checks"),
    ),
    left=83.0,
)


def lines(view: ProgressView, width: int = 80) -> list[str]:
    return [line for line, _ in drawn(view, width)]


def test_a_bake_is_shown_in_groups() -> None:
    assert lines(BAKE) == [
        "bake  ━━━━━━━───────────────────  2 of 7 done  1 min 12 s  about 1 min 25 s left",
        "shared    1 of 2, 1 cached",
        "  … base-ml      31 s  build layer torch  installing 48 wheels",
        "services  1 of 3",
        "checks    0 of 2",
        "  ✗ api-smoke       2 s  smoke: KeyError: 'answer'",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    many = tuple(WorkItem(f"service-{i}", "waits") for i in range(1000))
    long = WorkItem("one", "running", seconds=1.0, doing="words " * 50)
    for view in (BAKE, ProgressView("bake", 1.0, (long, *many), left=3000.0)):
        assert max(map(len, lines(view, width))) <= width


def test_a_thousand_items_take_few_lines() -> None:
    running = [WorkItem(f"run-{i}", "running") for i in range(100)]
    waiting = [WorkItem(f"wait-{i}", "waits") for i in range(900)]
    shown = lines(ProgressView("bake", 1.0, (*running, *waiting)))
    assert len(shown) == 8
    assert shown[7] == "    and 94 more"


def test_in_one_line() -> None:
    assert headline(BAKE) == "bake: 2 of 7 done after 1 min 12 s; about 1 min 25 s left"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("slimbake.console.tracker.time.monotonic", lambda: now[0])
    return now


def test_steps_are_said_as_they_begin_and_timed(clock: list[float]) -> None:
    said: list[str] = []
    with Console(said.append).tracked("push", ("one", "two")) as work:

        def run(name: str) -> None:
            clock[0] += 5.0
            (item,) = (item for item in work.view().items if item.name == name)
            assert (item.state, item.seconds) == ("running", 5.0)

        work.each(run, (("one", "one"), ("two", "two")), 1, "pushing")
    assert said == ["pushing one", "pushing two"]


def test_a_step_that_fails_is_shown_as_such() -> None:
    work = trackers.Tracker("push", (), print)
    with pytest.raises(KeyError), work.step("one"):
        raise KeyError
    assert work.view().items[0].state == "failed"


def test_jobs_run_at_once_and_keep_their_order() -> None:
    work, both = trackers.Tracker("trials", (), print), threading.Barrier(2, timeout=30)

    def run(name: str) -> str:
        both.wait()
        return name.upper()

    assert work.each(run, (("one", "a"), ("two", "b")), 2) == ("A", "B")
    assert [item.state for item in work.view().items] == ["done", "done"]


def test_bytes_that_arrive(clock: list[float]) -> None:
    said: list[str] = []
    with Console(said.append).bytes("fetching 2 wheels", 2_000_000) as count:
        count(500_000)
    assert said == ["fetching 2 wheels, 2.0 MB"]
