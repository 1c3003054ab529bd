"""Runs a service's command; and what the kernel says of processes: signals, and who listens at a port."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LAST_LINES = 12  # of what a command writes
TRACEBACK = "Traceback (most recent call last)"
_TRACEBACK_LINES = 60  # the last ones of a traceback, and of what was written after it
EVERY = 0.1  # seconds between two looks at who listens: each costs the kernel some milliseconds

_LISTENS = "0A"
_LOOPBACK = "7F"  # of 127.0.0.0/8 the last byte, as /proc writes it; of IPv6 likewise, if mapped
_LOOPBACK_6 = "0" * 24 + "01000000"
_SIGTIMEDWAIT = {"x86_64": "128", "aarch64": "137"}  # the number of this system call
_DNS = "0B00007F"  # 127.0.0.11: Docker answers there for the names of a network


class Launched:
    """A command that runs in a session of its own. What it writes goes to standard error, and the last
    lines of it are kept.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Raises OSError where it cannot be run."""
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self.lines = _kept(LAST_LINES)
        self.crashed = 0.0  # when it wrote a traceback for the first time; 0 = it has not
        self.loops = False  # whether it wrote one of the same exception again
        self.traceback = _kept(0)  # the last one that is complete, with what follows it
        self._traceback, self._raised = self.traceback, set[str]()
        # A full pipe stops the process that writes into it.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ended(self, seconds: float = 0) -> str:
        """How it has ended, or does within so many seconds; "" while it runs."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return ""
        self._reader.join(1)  # what left its session may hold the pipe
        if code < 0:
            return f"ended by signal {-code}"
        return f"ended with exit code {code}"

    def kill(self) -> None:
        """Kill it and what it has started in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(1)

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
        with self.process.stdout as stream:
            for line in stream:
                sys.stderr.write(line)
                self.lines.append(line.rstrip())
                self._note(line.rstrip())

    def _note(self, line: str) -> None:
        """Keep the last traceback that it writes, with what follows it."""
        if TRACEBACK in line:
            self.crashed = self.crashed or time.perf_counter()
            self._traceback = _kept(_TRACEBACK_LINES)
        elif self._traceback is not self.traceback and not line.startswith(" "):  # the exception
            self.traceback = self._traceback
            self.loops = self.loops or line in self._raised
            self._raised.add(line)
        self._traceback.append(line)


def _kept(number: int) -> collections.deque[str]:
    """Of the lines that are added to it, so many of the last."""
    return collections.deque(maxlen=number)


def process_status(pid: int | str) -> dict[str, str]:
    """The fields of /proc/PID/status; empty for a process that has gone."""
    status = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            status[key] = value.strip()
    return status


def descendants(pid: int) -> dict[int, dict[str, str]]:
    """The status of all processes that a process has started, and these in turn."""
    children: dict[str, dict[int, dict[str, str]]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        status = process_status(folder.name)
        children.setdefault(status.get("PPid", ""), {})[int(folder.name)] = status
    parents, status_of = [pid], {}
    while parents:
        found = children.get(str(parents.pop()), {})
        status_of.update(found)
        parents += found
    return status_of


def catches(pid: int, number: int) -> bool:
    """Whether a process handles a signal, or waits for it."""
    status = process_status(pid)
    handled = int(status.get("SigCgt", "0"), 16) | int(status.get("SigBlk", "0"), 16)
    return bool(handled >> (number - 1) & 1) or _waits_for_signals(pid)


def _waits_for_signals(pid: int) -> bool:
    """Whether a process sleeps until a signal comes, as tini does: as long as it does, the kernel
    shows none of those that it waits for as blocked.
    """
    with contextlib.suppress(OSError):
        if "sigtimedwait" in Path(f"/proc/{pid}/wchan").read_text():
            return True
    with contextlib.suppress(OSError):  # of a kernel that hides the names of its functions
        number = Path(f"/proc/{pid}/syscall").read_text().partition(" ")[0]
        return number == _SIGTIMEDWAIT.get(os.uname().machine)
    return False


def listeners(tables: Path = Path("/proc/net")) -> dict[int, bool]:
    """The TCP ports on which something in a network namespace listens, and whether any of these
    sockets can be reached from outside of it. `tables`: of which namespace; this one's by default.
    """
    ports: dict[int, bool] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), (tables / name).open() as table:
            for line in table:
                _, local, _, state, *_ = line.split()
                address, _, number = local.partition(":")
                if state != _LISTENS or address == _DNS:
                    continue
                port = int(number, 16)
                outside = not address.endswith(_LOOPBACK) and address != _LOOPBACK_6
                ports[port] = outside or ports.get(port, False)
    return ports
