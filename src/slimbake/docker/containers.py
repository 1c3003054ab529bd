"""Containers: run to their end, and files copied out of images."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from slimbake.docker.command import call
from slimbake.errors import SetupError
from slimbake.host import process
from slimbake.host.kernel import is_of_group, is_running

OWNER = "slimbake.owner"  # label of what goes with this process: its machine and its number
_REMOVE = ("rm", "--force", "--volumes")
MOST = 64 << 20  # bytes that a container may write on stdout, and on stderr
NOT_RUN = 125  # the exit code of `docker run` where Docker itself failed


# What engines say of a path that is not there: Docker's own, and Docker Desktop's.
_UNSEEN = ("bind source path does not exist", "mounts denied", "is not shared from the host")


def sees(file: Path, image: str) -> bool:
    """Whether the engine finds a file of this machine. One in a virtual machine, or on another
    machine, has an empty folder in its place, or none.
    """
    quoted = str(file).replace('"', '""')
    mount = f'--mount=type=bind,"source={quoted}",target=/file,readonly'
    words = ("docker", "container", "create", "--network=none", *_labels(), mount, image, "none")
    done = process.execute(words)
    if done.ok:
        _quiet(*_REMOVE, done.stdout.strip())
    return not any(phrase in done.stderr.lower() for phrase in _UNSEEN)


def owned() -> dict[str, str]:
    """The label of a container that this process removes, so that `prune` finds it if it cannot."""
    return {OWNER: f"{socket.gethostname()}/{os.getpid()}"}


def _labels() -> list[str]:
    return [f"--label={key}={value}" for key, value in owned().items()]


def orphaned(owner: str) -> bool:
    """Whether a process of this machine has gone; of another machine's nobody here knows."""
    host, _, number = owner.rpartition("/")
    return host == socket.gethostname() and number.isdigit() and not is_running(int(number))


def of_this_process(owner: str) -> bool:
    """Whether this process removes what has this owner."""
    return owner == owned()[OWNER]


def remove_owned(by: Callable[[str], bool]) -> list[str]:
    """Remove the containers and networks of such owners; their names."""
    removed = []
    for listing, field, remove in (
        (("ps", "--all"), "Names", _REMOVE),
        (("network", "ls"), "Name", ("network", "rm")),
    ):
        form = f'--format={{{{.ID}}}} {{{{.{field}}}}} {{{{.Label "{OWNER}"}}}}'
        for row in _quiet(*listing, f"--filter=label={OWNER}", form).splitlines():
            id_, name, owner = row.split()
            if by(owner) and _quiet(*remove, id_):
                removed.append(name)
    return removed


@dataclass(frozen=True, slots=True)
class Contained:
    """How a container ended; `code` is None where its time was up."""

    code: int | None
    stdout: str
    stderr: str
    out_of_memory: bool


def contained(name: str, arguments: Sequence[str], stdin: str, seconds: float | None) -> Contained:
    """Run a container of this name to its end, or for so many seconds; it has gone afterwards,
    interrupted or not. One that the engine was still making then is left to `prune`. One that
    prints more than MOST ends.

    Raises SetupError with Docker's own words where it could not be run.
    """
    with tempfile.TemporaryFile() as given, contextlib.ExitStack() as stack:
        stack.callback(_quiet, *_REMOVE, name)
        os.pwrite(given.fileno(), stdin.encode(), 0)
        running = stack.enter_context(
            subprocess.Popen(
                ["docker", "run", "--interactive", f"--name={name}", *_labels(), *arguments],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is ours
            )
        )
        # Its outputs are closed once they are read to their end, and that comes once it is killed.
        pool = stack.enter_context(ThreadPoolExecutor())
        stack.callback(running.kill)
        assert running.stdout and running.stderr  # noqa: S101 - for the type checker
        texts = pool.map(_first_bytes, (running.stdout, running.stderr))
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = running.wait(seconds)
        starved = "true" in _quiet("inspect", "--format={{.State.OOMKilled}}", name)
    stdout, stderr = (text.decode(errors="replace") for text in texts)
    if code == NOT_RUN:
        raise SetupError("the engine could not run a container", stderr.strip())
    return Contained(code, stdout, stderr, starved)


def _first_bytes(stream: IO[bytes]) -> bytes:
    """What may be read of a stream; who writes more gets SIGPIPE."""
    with stream:
        return stream.read(MOST)


@dataclass(frozen=True, slots=True)
class Detached:
    """A container that was left running; `refused` says why its command cannot be run, or ""."""

    name: str
    refused: str

    def state(self) -> tuple[int | None, int]:
        """Its exit code, None while it runs; the number of its first process, 0 where that runs on
        another machine.
        """
        form = "--format={{.State.Status}} {{.State.ExitCode}} {{.State.Pid}} {{.Id}}"
        words = _quiet("inspect", form, self.name).split()
        if not words:
            return 1, 0
        status, code, number, id_ = words
        pid = int(number)
        if not is_of_group(pid, id_):
            pid = 0
        if status in {"created", "running"}:
            return None, pid
        return int(code), pid

    def last_lines(self, number: int = 12) -> list[str]:
        """What it has written last."""
        return subprocess.run(
            ["docker", "logs", f"--tail={number}", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        ).stdout.splitlines()


@contextlib.contextmanager
def detached(name: str, arguments: Sequence[str]) -> Iterator[Detached]:
    """A container of this name, which has gone afterwards. Raises SetupError where the engine could
    not make it.
    """
    try:
        done = subprocess.run(
            ["docker", "run", "--detach", f"--name={name}", *_labels(), *arguments],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode == NOT_RUN:
            raise SetupError("the engine could not run a container", done.stderr.strip())
        refused = ""
        if done.returncode:
            last_line = done.stderr.strip().rpartition("\n")[2]
            refused = f"cannot be run: {last_line}"
        yield Detached(name, refused)
    finally:
        _quiet(*_REMOVE, name)


def _quiet(*arguments: str) -> str:
    """What a docker command writes on stdout, whether it succeeds or not."""
    return process.execute(["docker", *arguments]).stdout


@contextlib.contextmanager
def copied(image: str, path: str) -> Iterator[IO[bytes] | None]:
    """A file or folder of an image as a tar stream; None where it has none there. Raises
    SetupError, also where the stream was read to its end and broke off there.
    """
    container = call("container", "create", "--network=none", *_labels(), image).strip()
    try:
        with subprocess.Popen(
            ["docker", "cp", f"{container}:{path}", "-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as running:
            stream = running.stdout
            if not stream or not stream.peek(1):  # type: ignore[attr-defined]
                yield None
                return
            yield stream
            # Where the reader came to its end, that is all only if Docker says so.
            if not stream.read(1) and running.wait():
                raise SetupError(f"docker cp of {path} broke off")
    finally:
        _quiet(*_REMOVE, container)


def container_output(*arguments: str, stdin: str = "") -> str:
    """Run a container to its end, remove it, and return its stdout.

    Raises SetupError with Docker's own words.
    """
    done = contained(f"slimbake-{os.getpid()}-{id(arguments)}", arguments, stdin, None)
    if done.code:
        raise SetupError("docker run failed", done.stderr.strip())
    return done.stdout


def run_foreground(*arguments: str) -> int:
    """Run a container on this process's own stdin, stdout and stderr; its exit code."""
    options = ["--rm", "--interactive"]
    if sys.stdin.isatty() and sys.stdout.isatty():
        options.append("--tty")
    return subprocess.run(["docker", "run", *options, *arguments], check=False).returncode


def running(condition: str) -> list[str]:
    """The names of the running containers that a filter of `docker ps` lets through."""
    return call("container", "ls", f"--filter={condition}", "--format={{.Names}}").split()


def publishing(port: str) -> str:
    """Who has this port of the engine's machine: a container by its name, or another program."""
    for name in running(f"publish={port}"):
        return f"the container {name}"
    return "another program"
