"""Runs a check's levels in a child process, and says from outside whether all of them passed.

A check may hang, crash or exit early: then nothing inside its process can say so. A judge imports
nothing of the service: start it as `python -ISB`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .pace import Pace
from .surroundings import as_service

LIMIT = 120.0  # seconds for all levels together, without those that they wait for a core
SHOW = signal.SIGXCPU  # at which the child shows where it hangs
GRACE = 1.0  # seconds for that
EVERY = 0.05  # seconds between two looks at the child
_MOST = 1 << 26  # bytes of a child's notes


@dataclass(frozen=True)
class Judged:
    """What came of a check."""

    failed: str = ""  # the level that failed, `run` if it came to none, or `time`; "" = it held
    why: str = ""  # in the judge's words; "" where the check itself has said it
    report: Any = None  # what the child wrote at its end


def judge(
    request: Mapping[str, Any],
    limit: float = LIMIT,
    *,
    nonroot: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Judged:
    """Run a check's levels in a child, and end what it leaves behind in its session.

    `request`: what the program `levels` reads; `limit`: seconds, without those in which the child
    waits for a core; `nonroot`: give up root in the child.
    """
    question, notes = os.memfd_create("question"), os.memfd_create("notes")
    os.pwrite(question, json.dumps({**request, "limit": limit}).encode(), 0)
    program, also = _program()
    flags = ("-IB",) if request["kind"] == "verify" else ()  # it sees the service from outside
    process = subprocess.Popen(
        [sys.executable, *flags, program, "levels", str(notes)],
        stdin=question,
        stdout=2,
        stderr=2,
        pass_fds=(notes, *also),
        start_new_session=True,
        env=environment,
        **(as_service() if nonroot else {}),
    )
    os.close(question)
    in_time = _ends_in_time(process, limit)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    noted = _read(notes)
    os.close(notes)
    return _judged(in_time, code, noted)


def _judged(in_time: bool, code: int, noted: Mapping[str, Any]) -> Judged:
    """What came of a child with this exit code that has left these notes."""
    report = noted.get("report")
    level = noted.get("level", "run")
    where = "" if level == "run" else f" in {level}"
    if not in_time:
        return Judged("time", f"its time was up{where}", report)
    if code == 0 and noted.get("ended"):
        return Judged(report=report)
    if code > 0 and noted.get("explained"):
        return Judged(level, "", report)
    if code < 0:
        return Judged(level, f"its process was ended by signal {-code}{where}", report)
    return Judged(level, f"its process ended with exit code {code}{where}", report)


def _ends_in_time(process: subprocess.Popen[bytes], limit: float) -> bool:
    """Wait for a child. One that runs longer than the limit is asked where it hangs."""
    pace = Pace(process.pid)
    while pace.seconds() <= limit:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EVERY)
            return True
    process.send_signal(SHOW)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    return False


def _program() -> tuple[str, tuple[int, ...]]:
    """The zipapp that this module is from, and the descriptors that a child needs to read it."""
    archive = Path(__file__).parents[3]
    return str(archive), (int(archive.name),) if archive.parent == Path("/proc/self/fd") else ()


def _read(notes: int) -> dict[str, Any]:
    """The child's notes; empty where it wrote none."""
    with contextlib.suppress(ValueError, RecursionError):
        return dict(json.loads(os.pread(notes, _MOST, 0)))
    return {}
