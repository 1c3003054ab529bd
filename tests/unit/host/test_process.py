"""Processes of set-up and files of the state folder: what they leave behind when something goes
wrong.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host.files import exclusively, write_atomically
from slimbake.host.process import TIMED_OUT, detach, execute


def test_a_process_gives_its_code_and_both_its_streams() -> None:
    done = execute(["sh", "-c", "echo out; echo one >&2; echo; echo two >&2; exit 3"])
    assert (done.code, done.ok, done.stdout, done.stderr) == (3, False, "out\n\n", "one\ntwo\n")
    assert done.last_lines(1) == "two"


def test_the_environment_is_added_to_and_there_is_no_input() -> None:
    assert (
        execute(["sh", "-c", "cat; echo $MORE $HOME"], env={"MORE": "more"}).stdout
        == f"more {os.environ['HOME']}\n"
    )


def test_a_program_that_does_not_exist_is_named() -> None:
    with pytest.raises(SetupError, match=r"^no-such-program is not installed$"):
        execute(["no-such-program", "--version"])


def test_a_process_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    started = time.monotonic()
    done = execute(["sh", "-c", f"sleep 60 & echo $! >{tmp_path}/pid; wait"], timeout=0.1)
    assert (done.code, done.stderr) == (TIMED_OUT, "no answer within 0.1 s")
    assert time.monotonic() - started < 10
    assert _ended(int((tmp_path / "pid").read_text()))


def test_a_detached_process_runs_on_in_a_session_of_its_own_and_writes_its_log(
    tmp_path: Path,
) -> None:
    detached = detach(["sh", "-c", "echo started; exec sleep 60"], tmp_path / "log")
    try:
        assert detached.running
        assert os.getsid(detached.pid) == detached.pid
        deadline = time.monotonic() + 5
        while (tmp_path / "log").read_text() != "started\n":
            assert time.monotonic() < deadline
    finally:
        os.kill(detached.pid, signal.SIGKILL)
    assert _ended(detached.pid)


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder/file"
    write_atomically(path, b"first", 0o755)
    assert path.stat().st_mode & 0o777 == 0o755

    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.fchmod", refuse)
    with pytest.raises(PermissionError):
        write_atomically(path, b"second")
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"first"]


def test_the_lock_is_free_again_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), exclusively("engine", Console(said.append)):
        raise ZeroDivisionError
    with exclusively("engine", Console(said.append)):
        pass
    assert said == []


def _ended(pid: int) -> bool:
    """Whether a process ends within a moment; a zombie that its parent has yet to reap has ended."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
    return False
