"""A repository, an index and a wheelhouse of a test's own; the real command line and the real uv."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.index import Index, serving

from slimbake.cli import main
from slimbake.externals import resolve as externals


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Repo:
    """A fleet in a folder, on a machine that knows one index."""

    root: Path
    wheelhouse: Path
    index: Index
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def write(self, manifest: str, files: Mapping[str, str] | None = None) -> None:
        """Write `services.yaml` (a body) and other files, path -> content."""
        text = f'project: toys\npython: "3.11"\n{manifest}'
        for name, content in {"services.yaml": text, **(files or {})}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")

    def fleet(self, base: str, **services: str) -> None:
        """A base `web` and services on it, each with its requirements as a YAML list or a file's
        name.
        """
        lines = [
            f"bases:\n  web:\n    requirements: {base}\nservices:{'' if services else ' {}'}\n"
        ]
        for name, asked in services.items():
            (self.root / name).mkdir(exist_ok=True)
            lines.append(
                f"  {name}:\n    base: web\n    context: {name}\n    requirements: {asked}\n"
                "    start: none\n"
            )
        self.write("".join(lines))

    def run(self, *words: str) -> Ended:
        """A command of slimbake, in this process."""
        self.capture.readouterr()
        self.monkeypatch.setattr(sys, "argv", ["slimbake", *words])
        before = signal.getsignal(signal.SIGTERM)
        try:
            code = main()
        finally:
            signal.signal(signal.SIGTERM, before)
        shown = self.capture.readouterr()
        assert code != 1, shown.err
        return Ended(code, shown.out, shown.err)

    def done(self, *words: str) -> Ended:
        """The same, of a command that must succeed."""
        ended = self.run(*words)
        assert ended.code == 0, ended.stderr
        return ended

    def lock(self, base: str, **services: str) -> Ended:
        """Write a fleet, and lock it."""
        self.fleet(base, **services)
        return self.done("lock")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command of slimbake in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "slimbake", *words],
            cwd=self.root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def locked(self) -> dict[str, str]:
        """The locks as files: name -> text."""
        return {
            path.name: path.read_text() for path in sorted((self.root / "bake/locks").iterdir())
        }

    def pins(self, name: str) -> list[str]:
        """The packages that a lock pins, as `name==version`."""
        lines = (self.root / "bake/locks" / f"{name}.txt").read_text().splitlines()
        return [line.split()[0] for line in lines if "==" in line and not line.startswith("#")]

    def held(self) -> dict[str, Path]:
        """The files of the wheelhouse by their names."""
        return {path.name: path for path in (self.wheelhouse / "sha256").glob("*/*")}


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as made:
        yield made


@pytest.fixture
def repo(
    tmp_path: Path,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Repo:
    """An empty repository on a machine that knows the index and nothing else; no registry answers."""
    words = (
        "PIP_",
        "UV_",
        "XDG_",
        "SSL_",
        "SLIMBAKE_",
        "HTTP",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA",
    )
    for name in [name for name in os.environ if name.upper().startswith(words)]:
        monkeypatch.delenv(name)
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    settings = {
        "HOME": tmp_path / "home",
        "PIP_CONFIG_FILE": "/dev/null",
        "UV_DEFAULT_INDEX": index.url,
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": tmp_path / "uv",
        "SLIMBAKE_WHEELHOUSE": tmp_path / "wheelhouse",
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        **{
            f"XDG_{kind}_HOME": tmp_path / kind.lower()
            for kind in ("STATE", "CACHE", "CONFIG", "DATA")
        },
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    externals.in_registry.cache_clear()
    root = tmp_path / "repo"
    root.mkdir()
    monkeypatch.chdir(root)
    return Repo(root, tmp_path / "wheelhouse", index, capsys, monkeypatch)
