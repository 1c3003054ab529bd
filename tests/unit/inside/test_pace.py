"""Whether a process is busy, and how long it has run, by what the kernel says of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from slimbake.inside.check import pace
from slimbake.inside.check.pace import Effort, Pace, effort

Looks = Callable[..., Pace]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """A Pace that has looked once a second: each time at (cpu, delays, waiting)."""

    def made(*efforts: tuple[float, dict[str, float], bool]) -> Pace:
        now = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda: now[0])
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        monkeypatch.setattr(pace, "effort", lambda _: Effort(0.0, {}, False))
        watched = Pace(1)
        for number, each in enumerate(efforts, 1):
            now[0] = float(number)
            monkeypatch.setattr(pace, "effort", lambda _, each=each: Effort(*each))
            watched.seconds()
        return watched

    return made


@pytest.mark.parametrize(
    ("efforts", "idle"),
    [
        ([(0.0, {}, False)] * 2, True),
        ([(0.01, {"1": 0.1}, False), (0.02, {"1": 0.2}, False)], True),  # wakes up now and then
        ([(0.5, {}, False), (0.6, {}, False)], False),
        ([(0.0, {"1": 0.9}, False), (0.01, {"1": 1.8}, False)], False),  # starves
        ([(0.0, {"1": 0.9}, False), (0.0, {"2": 0.9}, False)], False),  # so do its children
        ([(0.0, {}, True)] * 2, False),  # the kernel counts no delays, or it reads a disk
    ],
)
def test_who_wants_a_core_or_a_disk_is_not_idle(
    efforts: list[tuple[float, dict[str, float], bool]], idle: bool, looks: Looks
) -> None:
    assert looks(*efforts).idle(2) is idle


def test_who_has_not_been_seen_for_long_enough_is_not_idle(looks: Looks) -> None:
    assert not looks((0.0, {}, False)).idle(2)


@pytest.mark.parametrize(
    ("efforts", "seconds"),
    [
        ([(0.0, {}, False)] * 3, 3.0),  # sleeps
        ([(1.0, {}, False), (2.0, {}, False), (3.0, {}, False)], 3.0),
        ([(0.2, {"1": 0.8}, False), (0.4, {"1": 1.6}, False)], 0.4),  # waits for a core
        ([(0.0, {"1": 1.0}, False), (0.0, {"1": 2.0}, False)], 0.2),  # nearly for ever
        # More threads than cores wait for one another, and spin.
        ([(2.0, {"1": 0.9, "2": 0.9}, False), (4.0, {"1": 1.8, "2": 1.8}, False)], 2.0),
    ],
)
def test_what_a_process_waits_for_a_core_does_not_count(
    efforts: list[tuple[float, dict[str, float], bool]], seconds: float, looks: Looks
) -> None:
    assert looks(*efforts).seconds() == pytest.approx(seconds)


def test_the_kernel_says_what_a_process_and_its_children_do() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
        try:
            while effort(process.pid).cpu < 0.2:
                time.sleep(0.1)
            found = effort(process.pid)
            assert found.waiting and len(found.delays) == 2
        finally:
            os.killpg(process.pid, 9)
    assert effort(process.pid) == Effort(0.0, {}, False)


def test_nothing_is_known_of_a_process_of_another_machine() -> None:
    assert effort(0) == Effort(0.0, {}, False)


def test_a_child_that_ends_while_it_is_looked_at_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "descendants", lambda _: (2**30,))
    assert effort(os.getpid()).cpu > 0
