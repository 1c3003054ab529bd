"""What the bakes of one process share: what they found of this machine, and work that nobody waits
for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

Found = TypeVar("Found")


class Session:
    """One process that bakes, once or many times. Work that was put off has ended with its block."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._late: list[Future[Any]] = []

    def kept(self, name: str, asked: object, find: Callable[[], Found]) -> Found:
        """What `find` gives; what it gave before, where the same was asked and nothing failed."""
        known = self._kept.get(name)
        if known is None or known[0] != asked:
            known = self._kept[name] = asked, find()
        found: Found = known[1]
        return found

    def forget(self) -> None:
        """Find everything again: after a failure, this machine may be another one."""
        self._kept.clear()

    def later(self, work: Callable[[], object]) -> None:
        """Do some work beside what follows, after what was put off before it."""
        self._late.append(self._pool.submit(work))

    def wait(self) -> None:
        """Wait for what was put off. Raises what that raised."""
        late, self._late = self._late, []
        for each in late:
            each.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()  # waits
        self.wait()
