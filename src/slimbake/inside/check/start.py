"""Starts an image's own command once, and prints how long it took and its memory by then."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

from .processes import accepts, peak_memory

EVERY = 0.005  # seconds between two looks at the port: the precision of a figure
LAST_LINES = 12


def start_command(arguments: Sequence[str]) -> None:
    """The program `start JSON`; the last line on standard output is the answer, as JSON.

    The object has `command`; `port`, or null for a command, which is then run to its end with
    `--help`; and `limit` in seconds.
    """
    (text,) = arguments
    asked = json.loads(text)
    print(json.dumps(measure_start(asked["command"], asked["port"], asked["limit"])))


def measure_start(command: Sequence[str], port: int | None, limit: float) -> dict[str, Any]:
    """`startup` in seconds and `rss` in bytes, or an `error` and the command's last `words`."""
    words = [*command, *(() if port else ("--help",))]
    began = time.perf_counter()
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, IndexError) as error:  # its file was removed; an image without a command
        return {"error": f"cannot be run: {error}", "words": ""}
    last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
    # A full pipe stops the process that writes into it.
    reader = threading.Thread(target=lambda: last.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        found = (
            _until_it_listens(process, port, began, limit)
            if port
            else _until_it_ends(process, began, limit)
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    reader.join(1)
    return found if "error" not in found else {**found, "words": "".join(last).rstrip()}


def _until_it_listens(
    process: subprocess.Popen[str], port: int, began: float, limit: float
) -> dict[str, Any]:
    while not accepts(port):
        code = process.poll()
        if code is not None:
            return {"error": f"{_how(code)} before it listened on port {port}"}
        if time.perf_counter() - began > limit:
            return {"error": f"does not listen on port {port} within {limit:g} s"}
        time.sleep(EVERY)
    return {"startup": time.perf_counter() - began, "rss": peak_memory(process.pid)}


def _until_it_ends(process: subprocess.Popen[str], began: float, limit: float) -> dict[str, Any]:
    """Of a command: its time with `--help`, and the peak of its largest process.

    Not the sum of all: none of them is left to be looked at.
    """
    timer = threading.Timer(limit, process.kill)
    timer.start()
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    timer.cancel()
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        late = f"does not end within {limit:g} s" if took >= limit else _how(code)
        return {"error": f"{late} with --help"}
    return {"startup": took, "rss": used.ru_maxrss * 1024}


def _how(code: int) -> str:
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
