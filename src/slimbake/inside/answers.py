"""Answers over HTTP: how much of one is read, for how long, and from where. All that slimbake asks a
registry or an index itself is read as `Answer`, on this machine and inside a build.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from .step import StepError

SECONDS = 60.0  # until an answer is there, if it is small
SLOWEST = 10_000  # bytes a second, after that
HEAD = 1 << 20  # bytes of an answer's head, and of a body that nobody asked for
CHUNK = 1 << 20  # bytes of a body that are held at a time


class AnswerError(StepError):
    """An answer is too long or too slow, or leads where slimbake takes nothing from; the text says
    what its server does.
    """


class Answer(http.client.HTTPResponse):
    """An answer whose head ends, and whose body does once `allow` says how long it may be."""

    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self._stream = _Stream(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._stream)

    def allow(self, most: int) -> None:
        """Let a body of so many bytes come, and as many beside it that frame it."""
        self._stream.left = 2 * most + HEAD


class _Stream(io.RawIOBase):
    """What arrives at a socket, up to a number of bytes and a time in all."""

    def __init__(self, arriving: io.RawIOBase, sock: socket.socket) -> None:
        self._arriving, self._socket = arriving, sock
        self._patience = sock.gettimeout() or SECONDS
        self._began, self._received = time.monotonic(), 0
        self.left = HEAD

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._arriving.fileno()

    def readinto(self, buffer: Any) -> int:
        end = self._began + SECONDS + self._received / SLOWEST
        seconds = end - time.monotonic()
        if seconds <= 0:
            raise _slow()
        if self.left <= 0:
            raise AnswerError("sends an answer without an end")
        self._socket.settimeout(min(seconds, self._patience))
        try:
            count = self._arriving.readinto(buffer) or 0
        except TimeoutError:
            if seconds < self._patience:
                raise _slow() from None
            raise
        self._received += count
        self.left -= count
        return count

    def close(self) -> None:
        self._arriving.close()
        super().close()


def _slow() -> AnswerError:
    return AnswerError(f"sends {SLOWEST:,} bytes a second at most")


def follow(before: str, address: str) -> None:
    """Raise AnswerError where slimbake does not go from one address to another: to another scheme
    than HTTP's, or from TLS to none.
    """
    scheme = urlsplit(address).scheme.lower()
    if scheme not in ("http", "https"):
        raise AnswerError("leads to an address that is neither http nor https")
    if scheme == "http" and urlsplit(before).scheme.lower() == "https":
        raise AnswerError("leads from https to http")
