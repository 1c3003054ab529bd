"""The service that a verify calls, beside it in one container, and stand-ins for its upstreams.

A verify asks the service at its port, or runs it as a command.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json import dumps, loads
from typing import Any

from .pace import Pace
from .processes import EVERY, LAST_LINES, Launched, catches, listeners
from .start import elsewhere

ENDS_WITHIN = 5.0  # seconds after the signal that stops it
SETTLED = 10.0  # seconds of doing nothing, after which it will not listen any more
PATIENCE = 60.0  # seconds for one answer, and for one run of a command
DYING = 0.1  # seconds between a connection that a dying process closes and its end


class VerifyError(AssertionError):
    """The service fails what slimbake itself checks of every service."""


@dataclass(frozen=True)
class Answer:
    """The service's answer; `pieces` are its chunks as they were sent, several if streamed."""

    status: int
    headers: Mapping[str, str]  # names are in lower case
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


@dataclass(frozen=True)
class Asked:
    """A request that an upstream got, its body read as JSON."""

    method: str
    path: str
    body: Any


class Upstream:
    """Stands in for a service behind this one, on loopback.

    `answer(method, path, body)` returns JSON, or (status, JSON).
    """

    def __init__(self, answer: Callable[[str, str, Any], Any]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.error: BaseException | None = None  # raised by `answer`
        self._port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Listen, at the same address as before."""
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def reply(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = upstream.reply_to(self.command, self.path, sent)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                with contextlib.suppress(ConnectionError):  # the service may have given up
                    self.end_headers()
                    self.wfile.write(body)

            # The names that http.server calls.
            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = reply  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()

    def reply_to(self, method: str, path: str, sent: bytes) -> tuple[int, bytes]:
        """Status and body for a request; 500 where `answer` raises."""
        try:
            body = loads(sent) if sent else None
            self.asked.append(Asked(method, path, body))
            given = self.answer(method, path, body)
        except Exception as error:
            self.error = error
            return 500, b"the upstream of this verify failed"
        status, body = given if isinstance(given, tuple) else (200, given)
        return status, body if isinstance(body, bytes) else dumps(body).encode()


class VerifiedService:
    """The service as its users see it: started at the first request, or run as a command."""

    def __init__(
        self,
        command: list[str],
        fixed: int,
        port: int | None,
        stop: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.env: dict[str, str] = {}  # added to the image's own variables at the next start
        self.port = port
        self.startup: float | None = None  # seconds
        self._command, self._fixed, self._patience = command, fixed, patience
        self._stop = signal.Signals[stop or "SIGTERM"]
        self._launched: Launched | None = None
        self._lines: Sequence[str] = ()  # what the last run of a command has written
        self._upstreams: list[Upstream] = []
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """Send a request and read its whole answer, whatever its status.

        `body`, if given, is sent as it is in place of `json`.
        """
        with self._lock:
            if self._launched is None:
                self.start()
        sent = {"Connection": "close"}
        if body is None and json is not None:
            body = dumps(json).encode()
            sent["Content-Type"] = "application/json"
        sent |= headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port or 0, timeout=self._patience)
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            pieces = tuple(iter(lambda: answer.read1(1 << 20), b""))
        if answer.length:
            raise http.client.IncompleteRead(b"".join(pieces), answer.length)
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, pieces)

    get = functools.partialmethod(request, "GET")
    post = functools.partialmethod(request, "POST")
    put = functools.partialmethod(request, "PUT")
    delete = functools.partialmethod(request, "DELETE")

    def run(self, *arguments: str, stdin: str = "") -> Done:
        """Run the command to its end in a new process, with these arguments."""
        command = self._command
        if arguments:
            command = [*command[: self._fixed], *arguments]
        began = time.perf_counter()
        done = subprocess.run(
            command,
            input=stdin,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=self._patience,
            check=False,
        )
        self.startup = self.startup or time.perf_counter() - began
        sys.stderr.write(done.stderr)
        self._lines = done.stderr.splitlines()[-LAST_LINES:]
        return Done(done.returncode, done.stdout, done.stderr)

    def upstream(self, answer: Callable[[str, str, Any], Any], variable: str = "") -> Upstream:
        """Start a stand-in for a service behind this one; put its address into the variable."""
        stand_in = Upstream(answer)
        self._upstreams.append(stand_in)
        if variable:
            self.env[variable] = stand_in.url
        return stand_in

    def start(self) -> None:
        """Start the service and wait until it listens; the first request does so too."""
        if self.port is None:
            raise VerifyError("a service without a port does not listen: call run()")
        began, before = time.perf_counter(), listeners()
        self._launched = Launched(self._command, {**os.environ, **self.env})
        pace = Pace(self._launched.process.pid)
        while True:
            ports = listeners()
            if self.port in ports:
                break
            if self._launched.process.poll() is not None:
                raise VerifyError(
                    f"it does not start: {self.ended()} before it listened on port {self.port}"
                )
            own = {port: outside for port, outside in ports.items() if port not in before}
            if own and pace.idle(SETTLED):
                raise VerifyError(f"it {elsewhere(self.port, own)['error']}")
            time.sleep(EVERY)
        self.startup = self.startup or time.perf_counter() - began

    def restart(self) -> None:
        """End the service as Docker would, and start it again with what its volumes hold."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End the service as Docker would. Raises VerifyError where it ended before, or does not."""
        if self._launched is None:
            return
        ended = self.ended()
        if ended:
            raise VerifyError(ended)
        process, name = self._launched.process, self._stop.name
        if not catches(process.pid, self._stop):
            raise VerifyError(f"it has no handler for {name}: process 1 of a container ignores it")
        process.send_signal(self._stop)
        if not self._launched.ended(ENDS_WITHIN):
            raise VerifyError(f"it did not end within {ENDS_WITHIN:g} s of {name}")
        self._launched = None

    def kill(self) -> None:
        """Kill the service and everything that it started."""
        if self._launched is not None:
            self._launched.kill()

    def ended(self) -> str:
        """How the service has ended by itself; "" while it runs."""
        if self._launched is None:
            return ""
        ended = self._launched.ended(DYING)
        return f"the service {ended}" if ended else ""

    def last_lines(self) -> Sequence[str]:
        """What it has written last."""
        if self._launched is None:
            return self._lines
        return self._launched.lines

    def finish(self) -> None:
        """Check what every service must do once its verify holds: answer, and end on SIGTERM."""
        if self.startup is None:
            raise VerifyError("nothing of the service was called: that proves nothing")
        for upstream in self._upstreams:
            if upstream.error is not None:
                raise upstream.error
        self.stop()
