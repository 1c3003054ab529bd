"""A `docker` that answers as it is taught: the real command lines, and the real python-on-whales."""

import os
import shlex
from pathlib import Path

import pytest


class Program:
    """The program `docker` of a test; `asked`: the command lines that it got, in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cases: list[str] = []
        self._write()

    @property
    def asked(self) -> list[str]:
        log = self._folder / "asked"
        return log.read_text().splitlines() if log.exists() else []

    def answer(self, start: str, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        """Answer the command lines that begin so; of two that fit, the later one counts."""
        said = f"printf %s {shlex.quote(stdout)}; printf %s {shlex.quote(stderr)} >&2; exit {code}"
        self._cases.insert(0, f"{shlex.quote(start)}*) {said};;")
        self._write()

    def _write(self) -> None:
        lines = (
            "#!/bin/sh",
            f'echo "$*" >>{self._folder}/asked',
            'case "$*" in',
            *self._cases,
            '*) echo "no test foresaw: $*" >&2; exit 99;;',
            "esac",
        )
        path = self._folder / "docker"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o755)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return Program(tmp_path / "bin")
