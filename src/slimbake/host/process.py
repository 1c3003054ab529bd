"""Starts processes: to their end with their output, or to outlive this one."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake.errors import SetupError
from slimbake.host import kernel

# The exit code of a process that was ended because its time was up, as coreutils' timeout gives it.
TIMED_OUT = 124

# Seconds after which a program that only looks something up is taken to hang. On a busy machine
# some need ten.
LOOK = 120.0

# Bytes of an output that are taken; of a repository of half a million files Git lists 50 MB.
MOST = 64 << 20

# Seconds that an interrupted process has for its own clean-up; mmdebstrap removes a whole root in
# it.
_GRACE = 120.0


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended: its exit code and its text."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def last_lines(self, count: int = 8) -> str:
        """The last lines with text in them that the process wrote, the errors' if there are any."""
        lines = [
            line.rstrip() for line in (self.stderr or self.stdout).splitlines() if line.strip()
        ]
        return "\n".join(lines[-count:])


def execute(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float | None = None,
    cwd: Path | None = None,
    limits: Mapping[int, int] = {},
) -> Completed:
    """Run a process to its end and take its output.

    `env` is added to this process's environment; `cwd`: its folder, if not this one; `limits`: as
    `kernel.limit` takes them, for it and what it starts; `timeout` is in seconds, and a
    process that needs longer ends with the code TIMED_OUT. Interrupted (Ctrl-C), it waits until the process has
    cleaned up. Raises SetupError where the program does not exist, cannot be started or writes more
    than MOST bytes; a failure of the program is the caller's.
    """
    command = tuple(os.fspath(word) for word in argv)
    with tempfile.TemporaryFile() as given:
        os.pwrite(given.fileno(), stdin.encode(), 0)
        try:
            # A session of its own: no prompt finds a terminal; what ends the process ends all that
            # it started.
            started = subprocess.Popen(
                command,
                stdin=given if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise SetupError(
                f"{command[0]} is not installed", "see what slimbake doctor says"
            ) from None
        except (OSError, ValueError) as error:  # an argument of megabytes, or with NUL
            raise SetupError(f"{command[0]} cannot be started: {error}") from None
    for kind, most in limits.items():
        kernel.limit(started.pid, kind, most)
    with ended(started) as process:
        try:
            stdout, stderr = _outputs(command[0], process, timeout)
        except subprocess.TimeoutExpired:
            return Completed(command, TIMED_OUT, "", f"no answer within {timeout:g} s")
        return Completed(command, process.returncode, stdout, stderr)


def _outputs(
    program: str, process: subprocess.Popen[bytes], timeout: float | None
) -> tuple[str, str]:
    """What a process writes until its end, as text. Raises TimeoutExpired, and SetupError for too
    much.
    """
    until = None if timeout is None else time.monotonic() + timeout
    pipes = (process.stdout, process.stderr)
    outputs = [bytearray(), bytearray()]
    with selectors.DefaultSelector() as open_pipes:
        for pipe, output in zip(pipes, outputs, strict=True):
            if pipe:
                open_pipes.register(pipe, selectors.EVENT_READ, output)
        while open_pipes.get_map():
            for key, _ in open_pipes.select(_left(process, until)):
                piece = os.read(key.fd, 1 << 16)
                key.data.extend(piece)
                if len(key.data) > MOST:
                    raise SetupError(f"{program} writes more than {MOST:,} bytes")
                if not piece:
                    open_pipes.unregister(key.fileobj)
    process.wait(_left(process, until))
    stdout, stderr = (output.decode("utf-8", "replace") for output in outputs)
    return stdout, stderr


def _left(process: subprocess.Popen[bytes], until: float | None) -> float | None:
    """The seconds until then; None: there is no end. Raises TimeoutExpired after it."""
    if until is None:
        return None
    left = until - time.monotonic()
    if left < 0:
        raise subprocess.TimeoutExpired(process.args, left)
    return left


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """See that the process has ended when the block has: asked first, then not asked."""
    try:
        yield process
    finally:
        if process.poll() is None:
            kernel.end_group(
                process, signal.SIGTERM, _GRACE
            )  # what a background job starts ignores SIGINT
            kernel.end_group(process, signal.SIGKILL, 5.0)  # with what it started and left behind
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it would not read
                    pipe.close()
