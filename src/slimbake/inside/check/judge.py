"""Judges a check from outside: its levels run in a child process, and each has to be answered for.

The child gets a key before it sees the check, and for each level a nonce, which it can read only
after the level has returned. What it answers is a keyed digest of both, and the kernel says which
process sent it. So nothing that ends, replaces, forks or silences the child, and nothing that it
prints, is taken for a level that ran. A judge imports nothing of the service: start it as
`python -ISB`.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .pace import Pace
from .processes import descendants
from .surroundings import as_service

KEY = 32  # bytes of a key, a nonce and a marker
LIMIT = 120.0  # seconds for all levels together, without those that they wait for a core
SHOW = signal.SIGXCPU  # at which the child shows where it hangs
GRACE = 1.0  # seconds for that
LAST = 5.0  # seconds after the last level, in which the child writes its report
EVERY = 0.05  # seconds between two looks at a child that says nothing
FAILED = b"failed"
ENDED = b"ended"
_MOST = 1 << 26  # bytes of a report
_ROUNDS = 500  # of killing, against a check that forks all the time
_CREDENTIALS = struct.Struct("3i")  # SCM_CREDENTIALS: process, user, group
_SET_DUMPABLE, _SET_CHILD_SUBREAPER = 4, 36  # linux/prctl.h


@dataclass(frozen=True)
class Judged:
    """What came of a check."""

    failed: str = ""  # the level that failed, `run` if it came to none, or `time`; "" = it held
    why: str = ""  # in the judge's words; "" where the check itself has said it
    report: Any = None  # what the child wrote at its end; it may be anything


class RefusedError(Exception):
    """The child is not believed: why, and `time` where that was up."""


def judge(
    request: Mapping[str, Any],
    limit: float = LIMIT,
    *,
    nonroot: bool = False,
    environment: Mapping[str, str] | None = None,
    hold: Callable[[str, float], None] = lambda *_: None,
) -> Judged:
    """Run a check's levels in a child, and end all processes that it leaves behind.

    `request`: what the program `levels` reads; `limit`: seconds, without those in which the child
    waits for a core; `nonroot`: give up root in the child; `hold`: called with each level that
    holds, and its seconds.
    """
    _guard()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    report = os.memfd_create("report")
    question = os.memfd_create("question")
    os.pwrite(question, json.dumps({**request, "limit": limit}).encode(), 0)
    program, also = _program()
    flags = ("-IB",) if request["kind"] == "verify" else ()  # it sees the service from outside
    process = subprocess.Popen(
        [sys.executable, *flags, program, "levels", str(theirs.fileno()), str(report)],
        stdin=question,
        stdout=2,
        stderr=2,
        pass_fds=(theirs.fileno(), report, *also),
        start_new_session=True,
        env=environment,
        **(as_service() if nonroot else {}),
    )
    theirs.close()
    os.close(question)
    try:
        return _Child(process, ours, limit).judged(hold, report)
    finally:
        ours.close()
        os.close(report)
        end_descendants()


def end_descendants() -> None:
    """Kill all that this process and its children have started, whatever session it went into."""
    for _ in range(_ROUNDS):
        pids = descendants(os.getpid())
        for number in (signal.SIGSTOP, signal.SIGKILL):  # what is stopped cannot fork meanwhile
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not pids:
            return
        time.sleep(0.002)


class _Child:
    """The process that runs the levels, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, limit: float):
        self._process, self._channel, self._limit = process, channel, limit
        self._pace = Pace(process.pid)
        self._key = secrets.token_bytes(KEY)

    def judged(self, hold: Callable[[str, float], None], report: int) -> Judged:
        level = "run"
        try:
            self._tell(self._key)
            for level in self._levels():
                nonce = secrets.token_bytes(KEY)
                self._tell(nonce)
                began = time.perf_counter()
                message = self._hear()
                if not hmac.compare_digest(message, marker(self._key, level.encode() + nonce)):
                    raise RefusedError("something other than slimbake answers for it")
                hold(level, time.perf_counter() - began)
            self._limit = self._pace.seconds() + LAST
            with contextlib.suppress(RefusedError):  # all levels have held by now
                self._hear()
            return Judged("", "", _read(report))
        except RefusedError as error:
            why, failed = (*error.args, level)[:2]
            where = f" in {level}" if why and level != "run" else ""
            return Judged(failed, f"{why}{where}", _read(report))

    def _levels(self) -> tuple[str, ...]:
        """What the check defines, once it is loaded."""
        message = self._hear()
        text, mark = message[KEY:], message[:KEY]
        if not hmac.compare_digest(mark, marker(self._key, text)):
            raise RefusedError("something other than slimbake answers for it")
        return tuple(json.loads(text))

    def _tell(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # it has ended, which is noticed when it is heard
            self._channel.send(message)

    def _hear(self) -> bytes:
        """The next message of the child itself. Raises RefusedError."""
        while True:
            ended = self._ended()
            self._channel.settimeout(EVERY)
            try:
                room = socket.CMSG_SPACE(_CREDENTIALS.size)
                message, about, _, _ = self._channel.recvmsg(1 << 16, room)
            except TimeoutError:
                if ended:
                    raise RefusedError(ended) from None
                if self._pace.seconds() > self._limit:
                    self._process.send_signal(SHOW)
                    time.sleep(GRACE)
                    raise RefusedError("its time was up", "time") from None
                continue
            except ConnectionResetError:
                continue  # it ended without reading all: what it has said before is still there
            if not message:
                time.sleep(0 if ended else EVERY)
                raise RefusedError(self._ended() or "it closed what slimbake hears it by")
            senders = [_CREDENTIALS.unpack(data)[0] for _, kind, data in about if kind == 2]
            if senders != [self._process.pid]:
                raise RefusedError("another process answers for it: it has forked")
            if message == FAILED:
                raise RefusedError("")  # the check itself has said why
            return message

    def _ended(self) -> str:
        """How the child has ended, or that it was stopped; "" while it runs."""
        status = os.waitid(
            os.P_PID,
            self._process.pid,
            os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT,
        )
        if status is None:
            return ""
        if status.si_code == os.CLD_EXITED:
            return f"its process ended with exit code {status.si_status}"
        how = "stopped" if status.si_code == os.CLD_STOPPED else "ended"
        return f"its process was {how} by signal {status.si_status}"


def marker(key: bytes, message: bytes) -> bytes:
    """What answers for a level, or for a list of levels."""
    return hashlib.blake2b(message, digest_size=KEY, key=key).digest()


def _guard() -> None:
    """Let no other process read this one, and take in the children that others abandon."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _program() -> tuple[str, tuple[int, ...]]:
    """The zipapp that this module is from, and the descriptors that a child needs to read it."""
    archive = Path(__file__).parents[3]
    return str(archive), (int(archive.name),) if archive.parent == Path("/proc/self/fd") else ()


def _read(file: int) -> Any:
    """The child's report; None where it wrote none."""
    try:
        return json.loads(os.pread(file, _MOST, 0))
    except (ValueError, RecursionError):
        return None
