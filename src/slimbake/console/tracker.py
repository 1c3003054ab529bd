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
        self._items[name] = WorkItem(name, "running")
        self._began[name] = time.monotonic()
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

        def step(name: str, job: Job) -> Done:
            with self.step(name, f"{verb} {name}" if verb else ""):
                return run(job)

        steps = dict(jobs)
        self.expect(steps)
        pool = ThreadPoolExecutor(at_once)
        try:
            return tuple(pool.map(step, steps, steps.values()))
        finally:  # what fails, or who interrupts, does not wait for the others
            pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, name: str, state: str) -> None:
        seconds = time.monotonic() - self._began.pop(name)
        self._items[name] = replace(self._items[name], state=state, seconds=seconds)

    def view(self) -> ProgressView:
        """This moment."""
        now = time.monotonic()
        running = dict(self._began)  # copied first: other threads begin and end steps
        items = dict(self._items)
        for name, began in running.items():
            items[name] = replace(items[name], seconds=now - began)
        return ProgressView(self._title, now - self._start, tuple(items.values()))
