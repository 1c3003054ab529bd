"""Containers: run to their end, and files copied out of images."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from slimbake.docker.command import call, client
from slimbake.errors import SetupError
from slimbake.host.files import is_running

OWNER = "slimbake.owner"  # label of what goes with this process: its machine and its number
OUT = "/inside/out"  # where a container finds the pipe that it is read by
NOT_RUN = 125  # the exit code of `docker run` where Docker itself failed


def bind(source: Path, target: str, *, read_only: bool = True) -> str:
    """The option of `docker run` that mounts a file or folder; its path may have colons and commas."""
    line = io.StringIO()
    fields = ("type=bind", f"source={source}", f"target={target}")
    csv.writer(line, lineterminator="").writerow((*fields, "readonly") if read_only else fields)
    return f"--mount={line.getvalue()}"


def owned() -> dict[str, str]:
    """The label of a container that this process removes, so that `prune` finds it if it cannot."""
    return {OWNER: f"{socket.gethostname()}/{os.getpid()}"}


def _labels() -> list[str]:
    return [f"--label={key}={value}" for key, value in owned().items()]


def remove_orphans() -> list[str]:
    """Remove the containers and networks whose process has gone; the names of those containers."""
    listed = f'{{{{.ID}}}} {{{{.Names}}}} {{{{.Label "{OWNER}"}}}}'
    rows = _quiet("ps", "--all", f"--filter=label={OWNER}", f"--format={listed}").splitlines()
    gone = [name for id_, name, owner in map(str.split, rows) if _orphaned(owner) and _removed(id_)]
    listed = f'{{{{.ID}}}} {{{{.Label "{OWNER}"}}}}'
    rows = _quiet("network", "ls", f"--filter=label={OWNER}", f"--format={listed}").splitlines()
    for id_, owner in map(str.split, rows):
        if _orphaned(owner):
            _quiet("network", "rm", id_)
    return gone


def _removed(container: str) -> str:
    return _quiet("rm", "--force", "--volumes", container)


def _orphaned(owner: str) -> bool:
    """Whether a process of this machine has gone; of another machine's nobody here knows."""
    host, _, number = owner.rpartition("/")
    return host == socket.gethostname() and number.isdigit() and not is_running(int(number))


@dataclass(frozen=True, slots=True)
class Contained:
    """How a container ended; `code` is None where its time was up."""

    code: int | None
    stdout: str
    stderr: str
    out_of_memory: bool


def contained(name: str, words: Sequence[str], stdin: str, seconds: float) -> Contained:
    """Run a container of this name to its end, or for so many seconds; it has gone afterwards,
    interrupted or not.

    Raises SetupError with Docker's own words where it could not be run.
    """
    with tempfile.TemporaryFile() as given:
        given.write(stdin.encode())
        given.seek(0)
        # Not python-on-whales: it has no stdin and no timeout, and does not capture stderr.
        process = subprocess.Popen(
            ["docker", "run", "--interactive", f"--name={name}", *_labels(), *words],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C is ours: a client that is cut off may leave what the engine still makes
            start_new_session=True,
        )
    code, starved = None, False
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            stdout, stderr = process.communicate(timeout=seconds)
            code = process.returncode
            starved = "true" in _quiet("inspect", "--format={{.State.OOMKilled}}", name)
    finally:
        _remove(process, name)
    if code is None:
        stdout, stderr = process.communicate()
    if code == NOT_RUN:
        raise SetupError("the engine could not run a container", stderr.strip())
    return Contained(code, stdout, stderr, starved)


def _remove(process: subprocess.Popen[str], name: str) -> None:
    """End the client of a container, and remove the container."""
    for _ in range(50):  # made or not yet: the client ends when its container does
        if process.poll() is not None:
            break
        _quiet("rm", "--force", "--volumes", name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    process.kill()  # it still has words that nobody reads
    _quiet("rm", "--force", "--volumes", name)


@dataclass(frozen=True, slots=True)
class Detached:
    """A container that was left running; `refused` says why its command cannot be run, or ""."""

    name: str
    refused: str

    def state(self) -> tuple[int | None, int]:
        """Its exit code, None while it runs; its first process, as the engine's machine has it."""
        said = _quiet(
            "inspect", "--format={{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}", self.name
        )
        status, code, pid = (*said.split(), "gone", "1", "0")[:3]
        return (None if status in {"created", "running"} else int(code)), int(pid)

    def last_lines(self, number: int = 12) -> list[str]:
        """What it has written last."""
        done = subprocess.run(
            ["docker", "logs", f"--tail={number}", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return done.stdout.splitlines()


@contextlib.contextmanager
def detached(name: str, words: Sequence[str]) -> Iterator[Detached]:
    """A container of this name, which has gone afterwards. Raises SetupError where the engine could
    not make it.
    """
    try:
        done = subprocess.run(
            ["docker", "run", "--detach", f"--name={name}", *_labels(), *words],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode == NOT_RUN:
            raise SetupError("the engine could not run a container", done.stderr.strip())
        why = done.stderr.strip().splitlines()
        yield Detached(name, f"cannot be run: {why[-1] if why else ''}" if done.returncode else "")
    finally:
        _quiet("rm", "--force", "--volumes", name)


def _quiet(*arguments: str) -> str:
    """What a docker command writes on stdout, whether it succeeds or not."""
    words = ["docker", *arguments]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, start_new_session=True
    ).stdout


@contextlib.contextmanager
def copied(image: str, path: str) -> Iterator[IO[bytes] | None]:
    """A file or folder of an image as a tar stream; None where it has none there. Raises
    SetupError.
    """
    with (
        client() as docker,
        docker.container.create(image, networks=["none"], labels=owned()) as container,
        tempfile.TemporaryFile() as stream,
    ):
        # Not python-on-whales: it copies into folders only.
        done = subprocess.run(
            ["docker", "cp", f"{container.id}:{path}", "-"],
            stdout=stream,
            stderr=subprocess.PIPE,
            check=False,
        )
        stream.seek(0)
        yield None if done.returncode else stream


def container_output(*words: str, stdin: str = "") -> str:
    """Run a container to its end, remove it, and return its stdout.

    This and the next two take arguments of `docker run`, such as --read-only, which python-on-whales
    does not. Raises SetupError with Docker's own words.
    """
    return call("run", "--rm", "--interactive", *_labels(), *words, stdin=stdin)


def run_foreground(*words: str) -> int:
    """Run a container on this process's own stdin, stdout and stderr; its exit code."""
    terminal = ("--tty",) if sys.stdin.isatty() and sys.stdout.isatty() else ()
    command = ("docker", "run", "--rm", "--interactive", *terminal, *words)
    return subprocess.run(command, check=False).returncode


def last_words(name: str, lines: int) -> str:
    """The last lines that a container wrote."""
    with client() as docker:
        return str(docker.container.logs(name, tail=lines))


def running_containers() -> list[str]:
    """The ids of all running containers."""
    with client() as docker:
        return [container.id for container in docker.container.list()]


def publishing(port: str) -> str:
    """Who has this port of the engine's machine: a container by its name, or another program."""
    names = call("container", "ls", f"--filter=publish={port}", "--format={{.Names}}").split()
    return f"the container {names[0]}" if names else "another program"
