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
from pathlib import Path
from typing import Any

from .pace import LOOK, Pace
from .processes import EVERY, Launched, catches, descendants, listeners

DYING = 0.1  # seconds between an answer of a dying process and its end
SILENT = 2.0  # seconds of doing nothing after which what listens is believed to serve
DEAF = 1.0  # seconds of doing nothing after which a command will handle no further signals
BUSY = 10.0  # seconds for which a command that lives may stay busy before that is left open
# Seconds after a traceback in which a command is to answer: a reloader waits for an edit then.
CRASHED = 50.0


def start_command(arguments: Sequence[str]) -> None:
    """The program `start JSON`; the last line on standard output is the answer, as JSON.

    The object has `command`; `port`, or null; `limit` in seconds; `alive`, the seconds after which
    the command is to be alive; `health`: the first two words of its healthcheck; `stop`: the name of
    the signal that is to end it, "" = not checked. No second counts in which the command waits for a
    core.
    """
    (text,) = arguments
    request = json.loads(text)
    lacks = _lacks_for_health(*request["health"])
    if lacks:
        error = f"cannot be run: the image has no {' and no '.join(lacks)}"
        outcome = {"error": error, "fault": "healthcheck"}
    else:
        outcome = check_start(
            request["command"],
            request["port"],
            request["limit"],
            request["alive"],
            request.get("stop", ""),
        )
    print(json.dumps(outcome), flush=True)  # nobody waits for more


def _lacks_for_health(program: str = "", script: str = "") -> list[str]:
    """What the image lacks of the program and the script that a healthcheck begins with."""
    lacks = []
    if program and not shutil.which(program):
        lacks.append(program)
    if script.endswith(".py") and not Path(script).is_file():
        lacks.append(script)
    return lacks


def check_start(
    command: Sequence[str], port: int | None, limit: float, alive: float, stop: str = ""
) -> dict[str, Any]:
    """{} where the command starts, or an `error`, its last `words`, and the `fault` where slimbake
    itself has seen it, maybe with the `program` that has it; and what `_deaf` says of a command that
    lives.

    With a port, it is to answer there, where it can be reached from outside of the container, and
    soon if it has written a traceback: a supervisor or a reloader survives what it starts; else to
    end with exit code 0, or to live for so many seconds: of its own, as long as it is busy,
    since an import that fails on a busy machine fails late.
    """
    if not command:
        error = "is missing: neither the manifest nor the image has one"
        return {"error": error, "fault": "no command"}
    try:
        launched = Launched(command, os.environ)
    except OSError as refusal:  # its file was removed
        error = f"cannot be run: {refusal}"
        fault = {FileNotFoundError: "no program", PermissionError: "not executable"}
        program = str(refusal.filename)
        return {"error": error, "fault": fault.get(type(refusal), ""), "program": program}
    pace = Pace(launched.process.pid)
    try:
        if port:
            outcome = _until_it_serves(launched, pace, port, limit, alive)
        else:
            outcome = _while_it_lives(launched, pace, limit, alive)
        if not outcome:
            return _deaf(launched.process, pace, stop)
    finally:
        launched.kill()
    return {"words": "\n".join(launched.lines), **outcome}


def _deaf(process: subprocess.Popen[str], pace: Pace, stop: str) -> dict[str, Any]:
    """{} where a process would end at a signal as the first one of a container, for which there is
    no default, or may yet: one that is busy may still be loading. Else, as `deaf`, whether one that
    it has started would: then it stands in the way.
    """
    number = signal.Signals.__members__.get(stop)
    if number is None or number == signal.SIGKILL:
        return {}
    until = pace.seconds() + BUSY
    while process.poll() is None and not catches(process.pid, number):
        if pace.idle(DEAF):
            return {"deaf": any(catches(pid, number) for pid in descendants(process.pid))}
        if pace.seconds() > until:
            break
        time.sleep(EVERY)
    return {}


def _until_it_serves(
    launched: Launched, pace: Pace, port: int, limit: float, alive: float
) -> dict[str, Any]:
    process, listened = launched.process, False
    while True:
        ports = listeners()
        listened = listened or port in ports
        if ports.get(port):  # it can be reached
            serves = _answers(port, process, pace, limit) or pace.idle(SILENT)
            if serves and not launched.ended(DYING):
                return {}
        ended = launched.ended()
        if ended:
            lacking = "answered" if listened else "listened"
            return {"error": f"{ended} before it {lacking} on port {port}"}
        now, idle = time.perf_counter(), pace.idle(max(2.0, 2 * alive))
        if pace.seconds() > limit or (ports and idle):
            return elsewhere(port, ports)
        # What was caught, and loads a model since, is busy.
        if launched.crashed and now - launched.crashed > CRASHED and (idle or launched.loops):
            error = f"wrote a traceback, and does not answer on port {port} {CRASHED:g} s later"
            return {"error": error, "words": "\n".join(launched.traceback)}
        time.sleep(EVERY)


def _answers(port: int, process: subprocess.Popen[str], pace: Pace, limit: float) -> bool:
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
                if pace.seconds() > limit:
                    break
    except OSError:
        pass
    return False


def elsewhere(port: int, ports: Mapping[int, bool]) -> dict[str, Any]:
    """Where a command listens that does not listen where it should, as `error` and `fault`."""
    if ports.get(port):
        return {"error": f"listens on port {port}, and answers nothing there"}
    if port in ports:
        error = f"listens on port {port} of the container's loopback only: bind it to 0.0.0.0"
        return {"error": error, "fault": "loopback"}
    if not ports:
        return {"error": f"does not listen on port {port}"}
    others = " and ".join(map(str, sorted(ports)))
    return {"error": f"does not listen on port {port} but on {others}", "fault": "other port"}


def _while_it_lives(launched: Launched, pace: Pace, limit: float, alive: float) -> dict[str, Any]:
    while True:
        ended = launched.ended()
        if ended:
            if launched.process.returncode:
                return {"error": ended}
            return {}
        lived = pace.seconds()
        settled = pace.cpu() >= alive or pace.idle(max(1.0, alive / 5))
        if lived > limit or (lived >= alive and settled):
            return {}
        time.sleep(EVERY)
