"""How many checks run at once: as many as cores and memory bear."""

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slimbake.inside.check import turn as turns
from slimbake.inside.check.turn import NEEDS, at_once, turn

GIB = 1 << 30
HOLDS = multiprocessing.get_context("fork")


class Machine:
    """One with so many cores, and so much memory that nobody uses."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._running: list[tuple[multiprocessing.process.BaseProcess, Path]] = []
        self.has(cores=8, memory=64 * GIB)

    def has(self, cores: int, memory: int) -> None:
        free = range(cores - turns._SPARE)
        self._patch.setattr("os.sched_getaffinity", lambda _: free)
        self._patch.setattr(turns, "available", lambda: memory)

    def start(self) -> Path:
        """Start a check in a process of its own; the file that is there once it has its turn."""
        began = self.folder.parent / f"began-{len(self._running)}"
        process = HOLDS.Process(target=_hold, args=(self.folder, began), daemon=True)
        process.start()
        self._running.append((process, began))
        return began

    def kill(self, began: Path) -> None:
        process = next(each for each, file in self._running if file == began)
        process.kill()
        process.join()

    def end(self) -> None:
        for process, _ in self._running:
            process.kill()
            process.join()


def _hold(folder: Path, began: Path) -> None:
    with turn(folder):
        began.touch()
        time.sleep(3600)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    (tmp_path / "turns").mkdir()
    made = Machine(tmp_path / "turns", monkeypatch)
    yield made
    made.end()


def came(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)


def waits(file: Path) -> bool:
    time.sleep(0.3)
    return not file.exists()


@pytest.mark.parametrize(("cores", "memory"), [(2, 64 * GIB), (8, 2 * NEEDS)])
def test_no_more_run_than_cores_and_memory_bear_and_the_next_one_follows(
    machine: Machine, cores: int, memory: int
) -> None:
    machine.has(cores, memory)
    first, second = machine.start(), machine.start()
    came(first)
    came(second)
    third = machine.start()
    assert waits(third)
    machine.kill(first)  # however it ends
    came(third)


def test_one_that_runs_alone_may_need_more_than_there_is(machine: Machine) -> None:
    machine.has(cores=8, memory=GIB)
    first = machine.start()
    came(first)
    second = machine.start()
    assert waits(second)
    machine.kill(first)
    came(second)


def test_without_a_folder_nothing_waits(tmp_path: Path) -> None:
    with turn(tmp_path / "none"):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("memory", "expected"), [(0, 1), (7 * GIB, 3), (64 * GIB, 8)])
def test_memory_and_cores_limit_work(machine: Machine, memory: int, expected: int) -> None:
    machine.has(cores=8, memory=memory)
    assert at_once() == expected


def test_this_machine_has_memory() -> None:
    assert 1e6 < turns.available() < 1e15
