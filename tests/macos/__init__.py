"""A machine like a Mac, simulated: it shows that nothing asks for what Linux alone has, no more."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ran import ran

_PROGRAM = Path(__file__).with_name("python.py")
# An empty /proc, and a folder that nobody else sees, as an engine in a virtual machine does not see
# what is not shared with it.
_MOUNTS = (
    'mount -t tmpfs none /proc && mount -t tmpfs none "$1" && mkdir "$1/home" && cp -R "$2" "$1/x"'
    " && echo ready && exec cat"
)
_IN_FOLDER = 'cd "$1" && shift && exec "$@"'


class RefusedError(Exception):
    """Why this machine has no namespace of mounts for us."""


@dataclass(frozen=True, slots=True)
class Mac:
    """A machine without /proc, and with a folder that its engine does not see."""

    shared: Path  # its parent, which the engine sees
    hidden: Path
    process: int  # whose mounts it has

    def ran(
        self, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A program that has ended, run in the repository."""
        enter = ("nsenter", "--preserve-credentials", f"--mount=/proc/{self.process}/ns/mnt")
        user = (f"--user=/proc/{self.process}/ns/user",) if os.geteuid() else ()
        there = ("sh", "-c", _IN_FOLDER, "sh", self.repository)
        home = {"HOME": str(self.hidden / "home"), "CI": "true"}
        return ran([*enter, *user, *there, *words], env={**os.environ, **home, **(env or {})})

    @property
    def repository(self) -> Path:
        return self.hidden / "x"

    def slimbake(
        self, *words: str, env: Mapping[str, str] | None = None, within: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """`within`: a program that starts it."""
        return self.ran(*within, sys.executable, _PROGRAM, *words, env=env)


@contextmanager
def macos(repository: Path) -> Iterator[Mac]:
    """Such a machine with a copy of a repository, in a folder whose path has spaces. Raises
    RefusedError.
    """
    user = ("--map-root-user",) if os.geteuid() else ()
    with tempfile.TemporaryDirectory(prefix="slimbake-mac-") as shared:
        hidden = Path(shared, "My Repo (1)")
        hidden.mkdir()
        with subprocess.Popen(
            ["unshare", "--mount", *user, "sh", "-c", _MOUNTS, "sh", hidden, repository],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout and holder.stderr
            if holder.stdout.readline() != "ready\n":
                raise RefusedError(holder.stderr.read().strip())
            try:
                yield Mac(Path(shared), hidden, holder.pid)
            finally:
                holder.communicate()  # its input ends, and so does it
