"""The service that a verify calls: started beside it in one container, asked at its port, or run as a command.

Standard library only.
"""

from __future__ import annotations

import collections
import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path
from typing import IO, Any

from slimbake.inside.upstream import Upstream

ENDS_WITHIN = 5.0  # seconds after SIGTERM
PATIENCE = 60.0  # seconds for one answer, and for one run of a command
DYING = 0.1  # seconds between a connection that a dying process closes and its end
LAST_WORDS = 8  # lines


class VerifyError(AssertionError):
    """What slimbake itself asks of every service does not hold."""


@dataclass(frozen=True)
class Answer:
    """What the service answered; `pieces` are its chunks as they were sent, of a streamed answer several."""

    status: int
    headers: Mapping[str, str]  # by names in lower case
    pieces: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return loads(self.body)


@dataclass(frozen=True)
class Done:
    """How a run of the command ended."""

    code: int
    stdout: str
    stderr: str


class Service:
    """The service as its users see it: started at the first request, called at its port; or run as a command."""

    def __init__(self, command: list[str], fixed: int, port: int | None) -> None:
        self.env: dict[str, str] = {}  # variables that the service has besides the image's own, from its next start on
        self.port = port
        self.startup: float | None = None  # seconds
        self.peak: int | None = None  # resident bytes
        self.words: collections.deque[str] = collections.deque(maxlen=LAST_WORDS)
        self.failed = False  # whether its last answer was a failure of its own, or none
        self._command, self._fixed = command, fixed
        self._process: subprocess.Popen[str] | None = None
        self._upstreams: list[Upstream] = []
        self._lock = threading.Lock()

    def request(
        self, method: str, path: str, json: Any = None, *, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """Send a request and read its whole answer, whatever its status; `body` in place of `json` is sent as it is."""
        with self._lock:
            if self._process is None:
                self.start()
        sent = {"Connection": "close", **headers}
        if body is None and json is not None:
            body, sent = dumps(json).encode(), {"Content-Type": "application/json", **sent}
        connection = http.client.HTTPConnection("127.0.0.1", self.port or 0, timeout=PATIENCE)
        with contextlib.closing(connection):
            self.failed = True  # until there is an answer
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            pieces = tuple(iter(lambda: answer.read1(1 << 20), b""))
        if answer.length:
            raise http.client.IncompleteRead(b"".join(pieces), answer.length)
        self.failed = answer.status >= 500
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, pieces)

    def get(self, path: str, **more: Any) -> Answer:
        return self.request("GET", path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> Answer:
        return self.request("POST", path, json, **more)

    def put(self, path: str, json: Any = None, **more: Any) -> Answer:
        return self.request("PUT", path, json, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.request("DELETE", path, **more)

    def run(self, *arguments: str, stdin: str = "") -> Done:
        """Run the command anew to its end, with these arguments."""
        began = time.perf_counter()
        command = [*self._command[: self._fixed], *arguments] if arguments else self._command
        done = subprocess.run(
            command, input=stdin, env={**os.environ, **self.env}, capture_output=True, text=True, encoding="utf-8",
            errors="replace", timeout=PATIENCE, check=False,
        )  # fmt: skip
        if self.startup is None:
            self.startup = time.perf_counter() - began
        self.peak = max(self.peak or 0, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
        sys.stderr.write(done.stderr)
        self.words.extend(done.stderr.splitlines())
        return Done(done.returncode, done.stdout, done.stderr)

    def upstream(self, answer: Callable[[str, str, Any], Any], variable: str = "") -> Upstream:
        """Stand in for a service behind this one, whose address this one finds in the variable."""
        made = Upstream(answer)
        self._upstreams.append(made)
        if variable:
            self.env[variable] = made.url
        return made

    def start(self) -> None:
        """Start the service and wait until it listens; the first request does so too."""
        if self.port is None:
            raise VerifyError("a service without a port does not listen: call run()")
        began = time.perf_counter()
        self._process = process = subprocess.Popen(
            self._command, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
        self._teller = threading.Thread(target=self._tell, args=(process.stdout,), daemon=True)
        self._teller.start()
        while not _listens(self.port):
            if process.poll() is not None:
                raise VerifyError(f"it does not start: {self.ended()} before it listened on port {self.port}")
            time.sleep(0.01)
        if self.startup is None:
            self.startup = time.perf_counter() - began

    def restart(self) -> None:
        """End the service as Docker would, and start it anew: what it kept in its volumes is there."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End the service with SIGTERM; raises where it has ended by itself, or does not end in time."""
        process = self._process
        if process is None:
            return
        if ended := self.ended():
            raise VerifyError(ended)
        self.measure()
        if not _catches_sigterm(process.pid):
            raise VerifyError("it has no handler for SIGTERM, which process 1 of a container then ignores")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            raise VerifyError(f"it did not end within {ENDS_WITHIN:g} s of SIGTERM") from None
        self._process = None

    def kill(self) -> None:
        """See that nothing of the service runs on."""
        if self._process is not None:
            self.measure()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._teller.join(1)

    def measure(self) -> None:
        """Take the most memory that the service and what it started have had so far."""
        if self._process is not None and (peak := _peak(self._process.pid)):
            self.peak = max(peak, self.peak or 0)

    def ended(self) -> str:
        """How the service has ended by itself; "" while it runs."""
        if self._process is None:
            return ""
        try:
            code = self._process.wait(DYING)
        except subprocess.TimeoutExpired:
            return ""
        self._teller.join(1)
        return f"the service ended by itself, {f'by signal {-code}' if code < 0 else f'with exit code {code}'}"

    def settle(self) -> None:
        """What is asked of every service once its verify has held."""
        if self.startup is None:
            raise VerifyError("nothing of the service was called: that proves nothing")
        for upstream in self._upstreams:
            if upstream.error is not None:
                raise upstream.error
        self.stop()

    def _tell(self, stream: IO[str]) -> None:
        for line in stream:
            sys.stderr.write(line)
            self.words.append(line.rstrip())


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _status(pid: int | str) -> dict[str, str]:
    """What the kernel says of a process; nothing where it has gone."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return {}


def _peak(pid: int) -> int:
    """The most resident bytes that a process and all that it started have had, each at its own time."""
    found = {path.name: _status(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()}
    total, tree = 0, [str(pid)]
    while tree:
        parent = tree.pop()
        total += int(found.get(parent, {}).get("VmHWM", "0").split()[0]) * 1024
        tree += [each for each, status in found.items() if status.get("PPid") == parent]
    return total


def _catches_sigterm(pid: int) -> bool:
    status = _status(pid)
    handled = int(status.get("SigCgt", "0"), 16) | int(status.get("SigBlk", "0"), 16)  # or waits for it
    return bool(handled >> (signal.SIGTERM - 1) & 1)
