"""Runs a process to its end and measures it; nothing heavy is imported here, see `Run.peak`."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimbake.console import Console


class FailedError(Exception):
    """A measured process failed: a time for it would mean nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a process."""

    seconds: float
    processor: float
    """Seconds of the processor, in this process and those it waited for: the same on a busy machine."""
    peak: int | None
    """Bytes that the largest process of the run held at its peak. The kernel counts what the parent
    held when it forked as the child's, so where a peak is no higher than that it is unknown.
    """


def run(
    argv: Sequence[str | Path],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    limit: float | None = None,
) -> Run | None:
    """Run a process in a folder; None when it is not done within `limit` seconds and was ended.

    `env` is added to this process's environment. Raises FailedError with the last lines when it
    fails.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [os.fspath(word) for word in argv],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timed_out = threading.Event()
        timer = threading.Timer(limit or threading.TIMEOUT_MAX, _end, (process.pid, timed_out))
        timer.daemon = True
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _end(process.pid, timed_out)
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if timed_out.is_set():
            return None
        if process.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines()
            words = " ".join(str(word) for word in argv)
            raise FailedError("\n".join((f"exit code {process.returncode}: {words}", *lines[-30:])))
    peak = usage.ru_maxrss * 1024 if usage.ru_maxrss > before else None
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak)


def _end(pid: int, timed_out: threading.Event) -> None:
    timed_out.set()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


CONSOLE = Console()
"""Lines of progress: stdout is the tables'."""


def say(line: str) -> None:
    """A line of progress."""
    CONSOLE.say(line)
