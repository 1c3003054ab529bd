"""Processes of set-up, faked: what a test does not foresee is not started, but fails the test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from slimbake.host import process
from slimbake.host.process import Completed


class Processes:
    """Stands for `slimbake.host.process`: answers the command lines it was taught, by their first words."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self._answers: dict[str, Completed] = {}

    def answer(self, start: str, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        """Answer every command line that begins so; of two that fit, the longer one counts."""
        self._answers[start] = Completed(tuple(start.split()), code, stdout, stderr)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float | None = None,
        limits: Mapping[int, int] = {},
    ) -> Completed:
        line = " ".join(map(str, argv))
        self.started.append(line)
        fits = [start for start in self._answers if line.startswith(start)]
        if not fits:
            raise AssertionError(f"started a process that no test foresaw: {line}")
        return self._answers[max(fits, key=len)]


def faked(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Fake processes in place of real ones, for one test."""
    processes = Processes()

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError(f"started a real process: {arguments}")

    monkeypatch.setattr(process, "execute", processes.run)
    monkeypatch.setattr("subprocess.Popen", never)
    return processes


def programs(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> None:
    """Have every program found on PATH, or none."""

    def which(program: str, path: str | None = None) -> str | None:
        return f"/usr/bin/{program}" if installed else None

    monkeypatch.setattr("shutil.which", which)
