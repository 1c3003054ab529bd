"""What the kernel of this machine gives: processes, memory, limits and files by their entries.

Linux says most of it in /proc, where that is mounted. macOS has none, and gives less: the functions
say what is missing there.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc/self").exists()
# Of `resource`: limits of one process.
DATA, FILE_SIZE = resource.RLIMIT_DATA, resource.RLIMIT_FSIZE


def is_running(pid: int) -> bool:
    """Whether there is a process of this number, whoever it belongs to."""
    if pid <= 0:  # a group of processes
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def end_group(process: subprocess.Popen[str], kind: signal.Signals, patience: float) -> None:
    """Send a signal to a process that leads a session and to all that it started, and wait for it,
    but only so many seconds.
    """
    # macOS refuses a signal to a group of which all have ended, and not all were waited for.
    gone = (ProcessLookupError, PermissionError)
    with contextlib.suppress(*gone, subprocess.TimeoutExpired):
        os.killpg(process.pid, kind)
        process.wait(patience)


def limit(pid: int, kind: int, most: int) -> None:
    """Limit a process that was started. macOS limits no other process: there nothing happens."""
    if not hasattr(resource, "prlimit"):
        return
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, kind)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.prlimit(pid, kind, (most, most))


@contextlib.contextmanager
def little_memory(more: int) -> Iterator[None]:
    """Have this process take at most so many bytes more. Without /proc it has no limit."""
    if not _PROC:
        yield
        return
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[5])
    most = pages * resource.getpagesize() + more
    soft, hard = resource.getrlimit(DATA)
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(DATA, (soft, hard))


def memory() -> int | None:
    """Bytes of memory that the kernel can give without swapping; None where it does not say."""
    if not _PROC:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    return int(found[1]) * 1024 if found else None


def is_of_group(pid: int, group: str) -> bool:
    """Whether a process of this number runs on this machine, in a control group of that name."""
    try:
        return group in Path(f"/proc/{pid}/cgroup").read_text("utf-8")
    except OSError:
        return False


def network_tables(pid: int) -> Path | None:
    """The folder with the tables of a process's network; None where this machine does not see it."""
    tables = Path(f"/proc/{pid}/net")
    return tables if os.access(tables / "tcp", os.R_OK) else None


def folds_case(file: Path) -> bool:
    """Whether the disk takes names that differ in case alone for one, as those of macOS mostly do.
    `file`: one that is there, with a letter in its name.
    """
    other = file.with_name(file.name.swapcase())
    return other.exists() and other.samefile(file)


@contextlib.contextmanager
def entry(path: str) -> Iterator[tuple[str, str]]:
    """What lies at a path, which is not opened: to open a device may already start it. Its path
    without links, and the path by which it is read from then on.

    On Linux that path leads to the same entry, no matter what lies at its place by now. Raises
    OSError.
    """
    if not _PROC:
        place = os.path.realpath(path, strict=True)
        yield place, place
        return
    held = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        way = f"/proc/self/fd/{held}"
        yield os.readlink(way), way  # noqa: PTH115
    finally:
        os.close(held)
