"""Whether a process is busy, and for how long it has run: a busy machine makes it slow, not idle."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from .processes import descendants

LOOK = 0.2  # seconds between two looks
IDLE = 0.05  # of a processor, below which a process does nothing
MOST = 10.0  # seconds of wall time that count for one second at least
_WAITING = ("R", "D")  # for a core, and for a disk


@dataclass(frozen=True)
class Effort:
    """What the kernel says of a process and all its descendants at a moment."""

    cpu: float  # seconds of processor time so far
    delays: dict[str, float]  # thread -> seconds that it has waited for a core so far
    waiting: bool  # whether a thread wants a core, or waits for a disk


def effort(pid: int) -> Effort:
    """Read it from /proc. A kernel that counts no delays gives none. `pid`: 0 for a process of
    another machine, of which nothing is known.
    """
    if pid == 0:
        return Effort(0.0, {}, False)
    ticks = 0
    delays: dict[str, float] = {}
    waiting = False
    for process in (pid, *descendants(pid)):
        folder = Path(f"/proc/{process}")
        with contextlib.suppress(OSError):
            # Its own time, and that of children that it waited for.
            ticks += sum(map(int, _fields(folder)[11:15]))
        for thread in _threads(folder):
            with contextlib.suppress(OSError, IndexError):
                waiting = waiting or _fields(thread)[0] in _WAITING
                delays[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return Effort(ticks / os.sysconf("SC_CLK_TCK"), delays, waiting)


def _threads(process: Path) -> list[Path]:
    """The folders of its threads; none of a process that has ended meanwhile."""
    try:
        return list((process / "task").iterdir())
    except OSError:
        return []


def _fields(folder: Path) -> list[str]:
    """The fields of `stat` after the name of a process or thread, which may have spaces."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


@dataclass(frozen=True)
class _Look:
    wall: float
    effort: Effort
    counted: float  # seconds that count so far
    waited: float  # seconds so far in which it wanted a core or a disk, and did not get it


class Pace:
    """Watches a process and its descendants. Its methods look at it, at most every LOOK seconds."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looks = [_Look(time.perf_counter(), effort(pid), 0.0, 0.0)]

    def seconds(self) -> float:
        """How long it has run, without the time for which it waited for a core."""
        return self._look().counted

    def cpu(self) -> float:
        """The processor time that it has taken."""
        return self._look().effort.cpu

    def idle(self, seconds: float) -> bool:
        """Whether it has done next to nothing for so long, and wanted no core or disk meanwhile."""
        last = self._look()
        for first in reversed(self._looks):
            window = last.wall - first.wall
            if window >= seconds:
                used = last.effort.cpu - first.effort.cpu
                return used < IDLE * window and last.waited - first.waited < window / 2
        return False

    def _look(self) -> _Look:
        last, now = self._looks[-1], time.perf_counter()
        elapsed = now - last.wall
        if elapsed < LOOK:
            return last
        new = effort(self._pid)
        # Threads wait at the same time: the longest wait is what the process lost.
        lost = 0.0
        for thread, delay in new.delays.items():
            lost = max(lost, delay - last.effort.delays.get(thread, 0.0))
        lost = min(lost, elapsed)
        # Threads may wait for one another: what all cores have done for them counts too.
        busy = (new.cpu - last.effort.cpu) / (os.cpu_count() or 1)
        counted = last.counted + max(elapsed - lost, busy, elapsed / MOST)
        waited = last.waited + (elapsed if new.waiting else lost)
        self._looks.append(_Look(now, new, counted, waited))
        return self._looks[-1]
