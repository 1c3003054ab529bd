"""Stands for the services behind the one that is verified, on loopback. Standard library only."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request that an upstream had, its body read as JSON."""

    method: str
    path: str
    body: Any


class Upstream:
    """Stands for a service behind this one, on loopback; `answer(method, path, body)` gives JSON, or (status, JSON)."""

    def __init__(self, answer: Callable[[str, str, Any], Any]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.error: BaseException | None = None  # of `answer`
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
                status, body = upstream.replied(self.command, self.path, sent)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # who asked may have given up
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = reply  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()

    def replied(self, method: str, path: str, sent: bytes) -> tuple[int, bytes]:
        try:
            body = json.loads(sent) if sent else None
            self.asked.append(Asked(method, path, body))
            given = self.answer(method, path, body)
        except Exception as error:
            self.error = error
            return 500, b"the upstream of this verify failed"
        status, body = given if isinstance(given, tuple) else (200, given)
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()
