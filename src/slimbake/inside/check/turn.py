"""A turn for a check that takes a whole service: no more of them run at once than the machine bears.

BuildKit runs every step at once that can run, and a fleet has a smoke for each service. Steps of one
builder share a folder, a cache mount. In it each check that runs holds the lock of a file, which the
kernel releases when its process ends, however that is. So it counts for all bakes of a machine, and
on a remote builder for the machine that builds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..step import INSIDE

FOLDER = INSIDE / "turns"  # of the cache mount; where there is none, nothing waits
UNKNOWN = 1 << 30  # bytes that a check is taken to need before it has run here once
_TAKEN = "SLIMBAKE_TURN"  # set for programs that a check starts, which have its turn
_EVERY = 0.05  # seconds between two looks
_SPARE = 1  # checks beside one for each core: some wait for files


def at_once() -> int:
    """How many checks of which nothing is known this machine bears at once, by its memory now."""
    return max(1, min(_slots(), available() // UNKNOWN))


def available() -> int:
    """Bytes of memory that the kernel can give without swapping."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    return int(found[1]) * 1024 if found else sys.maxsize


@contextlib.contextmanager
def turn(check: bytes, folder: Path = FOLDER) -> Iterator[None]:
    """Wait until the machine bears one more check, and hold its place.

    One that runs alone always may. `check`: what is kept under, for the next time, is how much
    memory it takes.
    """
    if _TAKEN in os.environ or not folder.is_dir():
        yield
        return
    peak = folder / f"{hashlib.sha256(check).hexdigest()[:32]}.peak"
    needs = _number(peak) or UNKNOWN
    # opened now: the check may give up root
    with _place(folder, needs), peak.open("a") as record:
        os.environ[_TAKEN] = "1"
        try:
            yield
        finally:
            del os.environ[_TAKEN]
            who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            used = max(resource.getrusage(each).ru_maxrss for each in who) * 1024
            _write(record, max(used, _number(peak)))  # two services may have one smoke


def _slots() -> int:
    return len(os.sched_getaffinity(0)) + _SPARE


def _number(file: Path) -> int:
    try:
        return int(file.read_text("ascii"))
    except (OSError, ValueError):  # there is none yet
        return 0


@contextlib.contextmanager
def _place(folder: Path, needs: int) -> Iterator[None]:
    """One of the machine's places. Who waits does so at the door, one after the other: a check that
    needs much is not passed by for ever.
    """
    with (folder / "door").open("a") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        while (mine := _taken(folder, needs)) is None:
            time.sleep(_EVERY)
    with mine:
        yield


def _taken(folder: Path, needs: int) -> IO[str] | None:
    """A place whose lock is held from here on; None where all are taken, or memory is short."""
    places = [(folder / f"place-{number}").open("a") for number in range(_slots())]
    free = [place for place in places if _locked(place)]
    promised = sum(_number(Path(p.name)) or UNKNOWN for p in places if p not in free)
    bearable = not promised or available() >= promised + needs
    mine = free[0] if free and bearable else None
    for place in places:
        if place is not mine:
            place.close()
    if mine:
        _write(mine, needs)
    return mine


def _locked(place: IO[str]) -> bool:
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(file: IO[str], number: int) -> None:
    file.truncate(0)
    file.write(str(number))
    file.flush()
