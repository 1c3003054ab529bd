"""Ordinary states of a machine are no bugs: each command ends with 7 or 2, and says what to do."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slimbake.cli import main
from slimbake.config.naming import DOCKERFILES, LOCKS
from slimbake.errors import UsageError

Run = Callable[..., tuple[int, str]]

MANIFEST = (
    'project: x\npython: "3.11"\n'
    "services: {one: {context: one, command: [python, -V], requirements: [six]}}\n"
)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@pytest.fixture
def modes_count() -> Iterator[None]:
    """Have file modes count for root too: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = _Header(0x20080522, 0)
    sets = (_Sets * 2)()
    assert libc.capget(ctypes.byref(header), ctypes.byref(sets)) == 0
    before = sets[0].effective
    sets[0].effective &= ~0b110
    assert libc.capset(ctypes.byref(header), ctypes.byref(sets)) == 0
    yield
    sets[0].effective = before
    assert libc.capset(ctypes.byref(header), ctypes.byref(sets)) == 0


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that was never locked, on a machine whose folders are the test's own."""
    made = tmp_path / "repository"
    (made / "one").mkdir(parents=True)
    (made / "services.yaml").write_text(MANIFEST)
    monkeypatch.chdir(made)
    for name in [name for name in os.environ if name.startswith(("XDG_", "PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(tmp_path / "wheelhouse"))
    return made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A command of slimbake in this process: its exit code, and what it says to people."""
    before = signal.getsignal(signal.SIGTERM)

    def slimbake(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["slimbake", *words])
        code = main()
        return code, capsys.readouterr().err

    yield slimbake
    signal.signal(signal.SIGTERM, before)


def test_a_repository_that_cannot_be_written_to(root: Path, run: Run, modes_count: None) -> None:
    root.chmod(0o555)
    code, said = run("generate")
    assert code == 7
    assert "permission denied" in said and "give the user who runs slimbake access" in said


def test_fresh_files_need_no_writable_repository(root: Path, run: Run, modes_count: None) -> None:
    assert run("generate")[0] == 0
    for folder in (root, *filter(Path.is_dir, root.rglob("*"))):
        folder.chmod(0o555)
    assert run("generate") == (0, "")


@pytest.mark.parametrize("name", ["bake", LOCKS, DOCKERFILES, ".github/workflows"])
def test_a_link_through_which_slimbake_would_write_elsewhere(
    root: Path, run: Run, name: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(elsewhere)
    for command in ("lock", "generate"):
        code, said = run(command)
        assert code == 2
        assert f"{name} leads out of the repository, to {elsewhere}" in said
    assert list(elsewhere.iterdir()) == []


def test_whoever_closes_its_streams_gets_whole_files(root: Path) -> None:
    def generated(closing: str) -> dict[Path, bytes]:
        words = ["sh", "-c", f'"$@" {closing}', "sh", sys.executable, "-m", "slimbake", "generate"]
        assert subprocess.run(words, cwd=root, capture_output=True, check=False).returncode == 0
        files = (path for path in root.rglob("*") if path.is_file())
        found = {path: path.read_bytes() for path in files}
        shutil.rmtree(root / "bake")
        (root / "docker-bake.hcl").unlink()
        return found

    assert generated("<&- >&- 2>&-") == generated("") != {}


def test_a_home_that_cannot_be_written_to(root: Path, run: Run, modes_count: None) -> None:
    Path(os.environ["HOME"]).chmod(0o555)
    code, said = run("lock")
    assert code == 7
    assert "permission denied" in said and os.environ["HOME"] in said


def test_no_temporary_folder(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    code, said = run("lock")
    assert (code, "set TMPDIR" in said) == (7, True)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("{tmp}/slimbake-1/file", "{tmp}/slimbake-1/file was removed while slimbake used it"),
        (None, "the working directory was removed"),
    ],
)
def test_a_folder_that_somebody_removed_meanwhile(
    root: Path, run: Run, gone: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp = tempfile.gettempdir()

    def fails(**_: object) -> None:
        file = gone and gone.format(tmp=tmp)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", file)

    monkeypatch.setattr("slimbake.cli.plan.command.callback", fails)
    code, said = run("plan")
    assert (code, said.splitlines()[0]) == (7, f"slimbake: {message.format(tmp=tmp)}")


def test_a_pip_conf_that_cannot_be_read(root: Path, run: Run, modes_count: None) -> None:
    conf = Path(os.environ["HOME"]) / ".config/pip/pip.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("[global]\nindex-url = https://index.example.com\n")
    conf.chmod(0)
    code, said = run("lock")
    assert code == 7
    assert f"{conf}: permission denied" in said


@pytest.mark.parametrize("name", ["one.txt", "inputs.json", "other.txt"])
def test_a_lock_that_is_not_utf_8(root: Path, run: Run, name: str) -> None:
    (root / LOCKS).mkdir(parents=True)
    (root / LOCKS / name).write_bytes(b"# \xff\n")
    code, said = run("plan")
    assert code == 2
    assert f"{LOCKS}/{name} is not UTF-8: the byte 0xff at offset 2" in said
    assert "remove it and run `slimbake lock`" in said


NEEDING_DOCKER = ("bake", "up", "down", "logs", "run one", "debug one", "sizes", "why six", "prune")


@pytest.mark.parametrize("command", NEEDING_DOCKER)
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("none", "Docker is not installed: no `docker` on PATH"),
        ("Cannot connect to it.", "the Docker engine does not answer: Cannot connect to it"),
        ("permission denied: unix:///run/a", "you may not use the Docker engine's socket"),
    ],
)
def test_without_an_engine_every_command_says_the_same(
    root: Path,
    run: Run,
    command: str,
    state: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "bin").mkdir()
    if state != "none":
        client = tmp_path / "bin/docker"
        client.write_text(f"#!/bin/sh\necho '{state}' >&2\nexit 1\n")
        client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    code, said = run(*command.split())
    assert code == 7
    assert said.startswith(f"slimbake: {message}")
    assert len(said.splitlines()) == 2, "and one line that says what to do"


def test_a_bug_is_still_a_bug_and_shows_its_trace_where_no_log_can_be_written(
    root: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise OSError(errno.EBADF, "odd")

    monkeypatch.setattr("slimbake.cli.plan.command.callback", fails)
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")
    code, said = run("plan")
    assert code == 1
    assert said.startswith("slimbake: a bug: OSError") and "Traceback" in said


def test_a_failed_check_has_no_escapes(
    root: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise UsageError("the smoke says \x1b]0;title\x07", "\x9b2J\n::error::forged")

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr("slimbake.cli.plan.command.callback", fails)
    assert run("plan")[1] == (
        "slimbake: the smoke says \\x1b]0;title\\x07\n  \\x9b2J\n  \\:" + ":error::forged\n"
    )
