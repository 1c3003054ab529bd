"""Starts an image's own command once, and says how long it took and what was resident by then. Standard library only.

Run in a container of the image by its own interpreter, from standard input: no file is mounted. The only argument is
an object: `command`; `port`, or null for a command, which is then run to its end with `--help`; `limit` in seconds. The
last line on standard output is the answer, as JSON.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

EVERY = 0.005  # seconds between two looks at the port: what a figure is sharp to
LAST_LINES = 12


def main() -> int:
    asked = json.loads(sys.argv[1])
    print(json.dumps(start(asked["command"], asked["port"], asked["limit"])))
    return 0


def start(command: list[str], port: int | None, limit: float) -> dict[str, Any]:
    """`startup` in seconds and `rss` in bytes, or an `error` and the command's last `words`."""
    words = command if port else [*command, "--help"]
    began = time.perf_counter()
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True,
        )  # fmt: skip
    except (OSError, IndexError) as error:  # its file was removed; an image without a command
        return {"error": f"cannot be run: {error}", "words": ""}
    last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
    # A pipe that nobody empties stops who writes into it.
    reader = threading.Thread(target=lambda: last.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        found = _listening(process, port, began, limit) if port else _ended(process, began, limit)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    reader.join(1)
    return found if "error" not in found else {**found, "words": "".join(last).rstrip()}


def _listening(process: subprocess.Popen[str], port: int, began: float, limit: float) -> dict[str, Any]:
    while not _accepts(port):
        code = process.poll()
        if code is not None:
            return {"error": f"{_how(code)} before it listened on port {port}"}
        if time.perf_counter() - began > limit:
            return {"error": f"does not listen on port {port} within {limit:g} s"}
        time.sleep(EVERY)
    return {"startup": time.perf_counter() - began, "rss": peak(process.pid)}


def _ended(process: subprocess.Popen[str], began: float, limit: float) -> dict[str, Any]:
    """Of a command: its time with `--help`, and the peak of its largest process, since none is left to be asked."""
    timer = threading.Timer(limit, process.kill)
    timer.start()
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    timer.cancel()
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        late = took >= limit
        return {"error": f"does not end within {limit:g} s with --help" if late else f"{_how(code)} with --help"}
    return {"startup": took, "rss": used.ru_maxrss * 1024}


def _how(code: int) -> str:
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _accepts(port: int) -> bool:
    """Whether somebody listens and can be reached; to try blindly may connect a port above 32767 with itself."""
    if not _listened(port):
        return False
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _listened(port: int) -> bool:
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), Path("/proc/net", name).open() as table:
            rows = (line.split() for line in table)
            if any(row[3] == "0A" and row[1].endswith(f":{port:04X}") for row in rows):
                return True
    return False


def peak(pid: int) -> int:
    """The most bytes that a process and all that it started have had resident, each at its own time, summed."""
    parents: dict[int, int] = {}
    peaks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
            number = int(path.parent.name)
            parents[number], peaks[number] = int(fields["PPid"]), int(fields.get("VmHWM", "0").split()[0]) * 1024
    tree, grown = {pid}, True
    while grown:
        more = {number for number, parent in parents.items() if parent in tree} - tree
        tree, grown = tree | more, bool(more)
    return sum(peaks.get(number, 0) for number in tree)


if __name__ == "__main__":
    sys.exit(main())
