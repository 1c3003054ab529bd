"""Starts an image's own command once: whether it does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .processes import EVERY, Launched, catches, cpu_seconds, descendants, listeners

DYING = 0.1  # seconds between an answer of a dying process and its end
SILENT = 2.0  # seconds without processor time after which what listens is believed to serve
LOOK = 0.1  # seconds between two looks at a command's processor time
IDLE = 0.05  # of a processor, below which a command does nothing
# Seconds after a traceback in which a command is to answer: a reloader waits for an edit then.
CRASHED = 50.0


def start_command(arguments: Sequence[str]) -> None:
    """The program `start JSON`; the last line on standard output is the answer, as JSON.

    The object has `command`; `port`, or null; `limit` in seconds; `alive`, the seconds after which
    the command is to be alive; `health`: the first two words of its healthcheck; `stop`: the name of
    the signal that is to end it, "" = not checked.
    """
    (text,) = arguments
    request = json.loads(text)
    command, port, limit, alive = (request[key] for key in ("command", "port", "limit", "alive"))
    outcome = _without_health(request.get("health", ())) or check_start(
        command, port, limit, alive, request.get("stop", "")
    )
    print(json.dumps(outcome), flush=True)  # nobody waits for more


def _without_health(health: Sequence[str]) -> dict[str, Any]:
    """An `error` where the image lacks the program or the script that a healthcheck begins with."""
    program, script = (*health, "", "")[:2]
    lacks = [program] if program and not shutil.which(program) else []
    lacks += [script] if script.endswith(".py") and not os.path.isfile(script) else []  # noqa: PTH113
    error = f"cannot be run: the image has no {' and no '.join(lacks)}"
    return {"what": "healthcheck", "error": error, "words": ""} if lacks else {}


def check_start(
    command: Sequence[str], port: int | None, limit: float, alive: float, stop: str = ""
) -> dict[str, Any]:
    """{} where the command starts, or an `error` and its last `words`; and what `_deaf` says of one
    that lives.

    With a port, it is to answer there, where it can be reached from outside of the container, and
    soon if it has written a traceback: a supervisor or a reloader survives what it starts; else to
    end with exit code 0, or to live for so many seconds: of its own, as long as it is busy,
    since an import that fails on a busy machine fails late.
    """

    began = time.perf_counter()
    try:
        launched = Launched(command, os.environ)
    except IndexError:
        return {"error": "is missing: neither the manifest nor the image has one", "words": ""}
    except OSError as error:  # its file was removed
        return {"error": f"cannot be run: {error}", "words": ""}
    try:
        if port:
            outcome = _until_it_serves(launched, port, began + limit, alive)
        else:
            outcome = _while_it_lives(launched, began, limit, alive)
        outcome = outcome or _deaf(launched.process, stop)
    finally:
        launched.kill()
    return {"words": "\n".join(launched.lines), **outcome} if "error" in outcome else outcome


def _deaf(process: subprocess.Popen[str], stop: str) -> dict[str, Any]:
    """{} where a process would end at a signal as the first one of a container, for which there is
    no default. Else, as `deaf`, whether one that it has started would: then it stands in the way.
    """
    number = signal.Signals.__members__.get(stop)
    if (
        number is None
        or number == signal.SIGKILL
        or process.poll() is not None
        or catches(process.pid, number)
    ):
        return {}
    return {"deaf": any(catches(pid, number) for pid in descendants(process.pid))}


class _Pace:
    """Whether a command is busy: a busy machine makes everything slower but this."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looks = [(time.perf_counter(), 0.0)]

    @property
    def seconds(self) -> float:
        """The processor time that it has taken."""
        now = time.perf_counter()
        if now - self._looks[-1][0] > LOOK:
            self._looks.append((now, cpu_seconds(self._pid)))
        return self._looks[-1][1]

    def idle(self, seconds: float) -> bool:
        """Whether it has done next to nothing for so long."""
        used, now = self.seconds, time.perf_counter()
        before = [taken for at, taken in self._looks if now - at >= seconds]
        return bool(before) and used - before[-1] < IDLE * seconds


def _until_it_serves(launched: Launched, port: int, until: float, alive: float) -> dict[str, Any]:
    process, listened = launched.process, False
    pace = _Pace(process.pid)
    while True:
        ports = listeners()
        listened = listened or port in ports
        serves = ports.get(port) and (_answers(port, process, pace, until) or pace.idle(SILENT))
        if serves and not launched.ended(DYING):
            return {}
        if ended := launched.ended():
            lacking = "answered" if listened else "listened"
            return {"error": f"{ended} before it {lacking} on port {port}"}
        now, idle = time.perf_counter(), pace.idle(max(2.0, 2 * alive))
        if now > until or (ports and idle):
            return {"error": _elsewhere(port, ports)}
        # What was caught, and loads a model since, is busy.
        if launched.crashed and now - launched.crashed > CRASHED and (idle or launched.loops):
            error = f"wrote a traceback, and does not answer on port {port} {CRASHED:g} s later"
            return {"error": error, "words": "\n".join(launched.traceback)}
        time.sleep(EVERY)


def _answers(port: int, process: subprocess.Popen[str], pace: _Pace, until: float) -> bool:
    """Whether something answers a request on a port, in whichever protocol.

    A connection alone shows little: a server that forks may listen before its workers have loaded
    the application, and the kernel accepts in its name. False also once the command has ended, or
    has been idle for SILENT: what expects other words may keep silent.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            connection.settimeout(LOOK)
            while process.poll() is None and not pace.idle(SILENT):
                with contextlib.suppress(TimeoutError):
                    return bool(connection.recv(1))
                if time.perf_counter() > until:
                    break
    except OSError:
        pass
    return False


def _elsewhere(port: int, ports: Mapping[int, bool]) -> str:
    """Where a command listens that does not listen where it should."""
    if ports.get(port):
        return f"listens on port {port}, and answers nothing there"
    if port in ports:
        return f"listens on port {port} of the container's loopback only: bind it to 0.0.0.0"
    others = " and ".join(map(str, sorted(ports)))
    return f"does not listen on port {port}{f' but on {others}' if others else ''}"


def _while_it_lives(launched: Launched, began: float, limit: float, alive: float) -> dict[str, Any]:
    pace = _Pace(launched.process.pid)
    while True:
        if ended := launched.ended():
            return {"error": ended} if launched.process.returncode else {}
        lived = time.perf_counter() - began
        settled = pace.seconds >= alive or pace.idle(max(1.0, alive / 5))
        if lived > limit or (lived >= alive and settled):
            return {}
        time.sleep(EVERY)
