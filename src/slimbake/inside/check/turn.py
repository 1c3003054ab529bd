"""A turn for a check that takes a whole service: no more of them run at once than the machine bears.

BuildKit runs every step at once that can run, and a fleet has a smoke for each service. Steps of one
builder share a folder, a cache mount. In it each check that runs holds the lock of a file, which the
kernel releases when its process ends, however that is. So it counts for all bakes of a machine, and
on a remote builder for the machine that builds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..step import INSIDE

FOLDER = INSIDE / "turns"  # of the cache mount; where there is none, nothing waits
NEEDS = 2 << 30  # bytes that a check is taken to need, such as one that imports torch
_EVERY = 0.05  # seconds between two looks
_SPARE = 1  # checks beside one for each core: some wait for files


def at_once() -> int:
    """How many checks this machine bears at once, by its memory now."""
    return max(1, min(len(os.sched_getaffinity(0)) + _SPARE, available() // NEEDS))


def available() -> int:
    """Bytes of memory that the kernel can give without swapping."""
    match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    return int(match[1]) * 1024 if match else sys.maxsize


@contextlib.contextmanager
def turn(folder: Path = FOLDER) -> Iterator[None]:
    """Wait until the machine bears one more check, and hold its place. One that runs alone may run."""
    if not folder.is_dir():
        yield
        return
    with _place(folder):
        yield


def _place(folder: Path) -> IO[str]:
    """A file whose lock is held from here on. Who waits does so at the door, one after the other."""
    with (folder / "door").open("a") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        while True:
            for number in range(at_once()):
                place = (folder / f"place-{number}").open("a")
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return place
                place.close()
            time.sleep(_EVERY)
