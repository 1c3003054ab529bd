"""Processes of set-up and files of the state folder: what they leave behind when something goes
wrong.
"""

import os
import re
import resource
from pathlib import Path

import pytest
from tests.patience import far_enough, wait_for

from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host import process
from slimbake.host.files import exclusively, write_atomically
from slimbake.host.process import TIMED_OUT, execute

LIMITED = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="as on macOS")


def test_a_process_gives_its_code_and_both_its_streams() -> None:
    done = execute(["sh", "-c", "echo out; echo one >&2; echo; echo two >&2; exit 3"])
    assert (done.code, done.ok, done.stdout, done.stderr) == (3, False, "out\n\n", "one\ntwo\n")
    assert done.last_lines(1) == "two"


def test_the_environment_is_added_to_and_there_is_no_input() -> None:
    done = execute(["sh", "-c", "cat; echo $MORE $HOME"], env={"MORE": "more"})
    assert done.stdout == f"more {os.environ['HOME']}\n"


@LIMITED
def test_a_process_and_what_it_starts_have_limits() -> None:
    limits = {resource.RLIMIT_DATA: 300 << 20, resource.RLIMIT_FSIZE: 1 << 20}
    waits = "sleep 0.5; sh -c 'ulimit -d; ulimit -f'"
    done = execute(["sh", "-c", waits], limits=limits)
    assert done.stdout.split() == [str(300 << 10), str(1 << 11)]  # KiB, and blocks of 512 bytes
    assert execute(["sh", "-c", "ulimit -f"]).stdout != done.stdout.split()[1]


def test_a_program_that_does_not_exist_is_named() -> None:
    with pytest.raises(SetupError, match=r"^no-such-program is not installed$"):
        execute(["no-such-program", "--version"])


def test_a_process_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    starts = ["sh", "-c", f"sleep 3600 & echo $! >{pid}; wait"]
    done = far_enough(
        lambda limit: execute(starts, timeout=limit),
        lambda _: pid.exists() and pid.read_text() != "",
    )
    assert done.code == TIMED_OUT
    assert re.fullmatch(r"no answer within \d+ s", done.stderr)
    wait_for(lambda: _has_ended(int(pid.read_text())), "the end of what it started")


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder/file"
    write_atomically(path, b"first", 0o755)
    assert path.stat().st_mode & 0o777 == 0o755

    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.fchmod", refuse)
    with pytest.raises(PermissionError):
        write_atomically(path, b"second")
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"first"]


def test_the_lock_is_free_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), exclusively("engine", Console(said.append)):
        raise ZeroDivisionError
    with exclusively("engine", Console(said.append)):
        pass
    assert said == []


def _has_ended(pid: int) -> bool:
    """Whether a process has ended; a zombie that its parent has yet to reap has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_process_that_writes_without_an_end_is_ended(
    stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MOST", 1 << 20)
    with pytest.raises(SetupError, match="sh writes more than 1,048,576 bytes"):
        process.execute(["sh", "-c", f"exec yes >&{stream}"], timeout=60)


@pytest.mark.parametrize("word", ["a\0b", "a" * 10_000_000])
def test_a_word_that_is_no_argument_is_named(word: str) -> None:
    with pytest.raises(SetupError, match="true cannot be started"):
        process.execute(["true", word])


def test_a_text_that_nobody_reads_is_no_fault() -> None:
    assert process.execute(["true"], stdin="a" * 10_000_000).ok
    assert process.execute(["cat"], stdin="a" * 1_000_000).stdout == "a" * 1_000_000
