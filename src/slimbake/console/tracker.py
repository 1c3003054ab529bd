"""The steps of a command, while they run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from slimbake.console.progress import ProgressView, WorkItem

Job = TypeVar("Job")
Done = TypeVar("Done")


class Tracker:
    """Steps that are known at first, and others that turn up; several may run at once.

    `say`: takes a line for each step that begins, where no terminal shows them.
    """

    def __init__(self, title: str, steps: Iterable[str], say: Callable[[str], None]) -> None:
        self._title, self._say = title, say
        self._items = {name: WorkItem(name, "waits") for name in steps}
        self._began: dict[str, float] = {}
        self._start = time.monotonic()

    def expect(self, steps: Iterable[str]) -> None:
        """There are these steps, too."""
        self._items |= {name: WorkItem(name, "waits") for name in steps}

    @contextlib.contextmanager
    def step(self, name: str, line: str = "") -> Iterator[None]:
        """A step, from its begin to its end. `line`: what to say of it, "" for nothing."""
        if line:
            self._say(line)
        self._began[name] = time.monotonic()
        self._items[name] = WorkItem(name, "running")
        try:
            yield
        except BaseException:
            self._end(name, "failed")
            raise
        self._end(name, "done")

    def each(
        self,
        run: Callable[[Job], Done],
        jobs: Iterable[tuple[str, Job]],
        at_once: int,
        verb: str = "",
    ) -> tuple[Done, ...]:
        """What `run` gives for each job, by the name of its step; so many run at once. What one
        raises ends all. `verb`: what to say of each with its name, "" for nothing.
        """

        def one(job: tuple[str, Job]) -> Done:
            with self.step(job[0], f"{verb} {job[0]}" if verb else ""):
                return run(job[1])

        steps = tuple(jobs)
        self.expect(name for name, _ in steps)
        pool = ThreadPoolExecutor(at_once)
        try:
            return tuple(pool.map(one, steps))
        finally:  # what fails, or who interrupts, does not wait for the others
            pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, name: str, state: str) -> None:
        seconds = time.monotonic() - self._began.pop(name)
        self._items[name] = replace(self._items[name], state=state, seconds=seconds)

    def view(self) -> ProgressView:
        """This moment."""
        now, began = time.monotonic(), dict(self._began)
        items = tuple(
            replace(item, seconds=now - began[item.name]) if item.name in began else item
            for item in tuple(self._items.values())
        )
        return ProgressView(self._title, now - self._start, items)
