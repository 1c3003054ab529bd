"""Temporary files lie in one folder of the process: it goes with it, or with the next command."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from slimbake.host.files import scratch


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_process_leaves_goes_with_its_folder(top: Path) -> None:
    with scratch():
        made = Path(tempfile.mkdtemp())
        assert made.parent.parent == top
        with scratch():
            assert made.is_dir(), "it is in use"
    assert not list(top.iterdir()) and tempfile.gettempdir() == str(top)


def test_what_a_killed_process_left_is_removed_and_nothing_else(top: Path) -> None:
    code = (
        "import os, tempfile; from slimbake.host.files import scratch\n"
        "with scratch(): tempfile.mkdtemp(); os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(top)}, check=False
    )
    (left,) = top.iterdir()
    (top / "slimbake-of-a-person").mkdir()
    elsewhere = top / "slimbake-of-4194305-x"  # a number that no process of this machine has
    elsewhere.mkdir()
    lock = os.open(elsewhere, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    with scratch():
        assert not left.exists()
    kept = {path.name for path in top.iterdir()}
    os.close(lock)
    assert kept == {"slimbake-of-a-person", elsewhere.name}


def test_without_a_folder_a_command_continues(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(top / "nowhere"))
    with scratch():
        assert tempfile.tempdir == str(top / "nowhere")
