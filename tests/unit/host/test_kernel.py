"""What the kernel gives, with /proc and without it, as on macOS."""

import errno
import os
import resource
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from slimbake.host import kernel
from slimbake.host.files import content, listed
from slimbake.host.limits import limited

PROC = Path("/proc/self").exists()


@pytest.fixture(params=["linux", "macos"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "linux" and not PROC:
        pytest.skip("there is no /proc")
    if request.param == "macos":
        monkeypatch.setattr(kernel, "_PROC", False)
        monkeypatch.delattr(os, "O_PATH", raising=False)
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.delattr(resource, "prlimit", raising=False)
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with each kind of entry."""
    made = tmp_path / "repository"
    (made / "folder").mkdir(parents=True)
    (made / "folder/file").write_bytes(b"text")
    (tmp_path / "secret").write_bytes(b"secret")
    for name, target in (("link", "folder/file"), ("out", "../secret"), ("up", ".."), ("me", "me")):
        (made / name).symlink_to(target)
    os.mkfifo(made / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(made / "socket"))
    return made


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("out", errno.EXDEV),
        ("up/secret", errno.EXDEV),
        ("folder", errno.EISDIR),
        ("fifo", errno.ENXIO),
        ("socket", errno.ENXIO),
        ("me", errno.ELOOP),
        ("missing", errno.ENOENT),
        ("folder/file/more", errno.ENOTDIR),
    ],
)
def test_what_is_no_file_of_the_repository_is_not_opened(
    system: str, root: Path, path: str, number: int
) -> None:
    with pytest.raises(OSError) as refused:
        content(root, path)
    assert (refused.value.errno, refused.value.filename) == (number, path)


def test_files_and_folders_of_the_repository_are_read(
    system: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert content(root, "folder/file") == content(root, "link") == b"text"
    assert listed(root, "folder") == ["file"]
    with pytest.raises(OSError, match="leads out"):
        listed(root, "up")
    monkeypatch.chdir(root.parent)
    (root.parent / "alias").symlink_to("repository")
    assert content("alias", "link") == b"text"


def test_a_process_runs_or_has_ended(system: str) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    numbers = (os.getpid(), 1, ended.pid, 0, -1, 10**30)
    assert [kernel.is_running(number) for number in numbers] == [True, True, *[False] * 4]


def test_memory_is_limited_where_the_kernel_says_how_much_there_is(system: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited():
        assert (resource.getrlimit(resource.RLIMIT_DATA) != before) is (system == "linux")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert (kernel.memory() is None) is (system == "macos")


def test_another_process_is_limited_where_that_can_be(system: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        kernel.limit(process.pid, kernel.FILE_SIZE, 1 << 20)
        if system == "linux":
            assert "1048576" in Path(f"/proc/{process.pid}/limits").read_text()
        process.kill()


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_a_group_that_has_ended_gets_no_signal(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS refuses it where Linux finds none."""

    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, "killpg", refuse)
    with subprocess.Popen(["true"], text=True) as process:
        kernel.end_group(process, signal.SIGTERM, 1)


@pytest.mark.skipif(not PROC, reason="there is no /proc")
def test_the_network_of_a_process_is_seen_where_it_runs_here() -> None:
    tables = kernel.network_tables(os.getpid())
    assert tables and stat.S_ISREG((tables / "tcp").stat().st_mode)
    assert kernel.network_tables(10**9) is None


@pytest.mark.skipif(not PROC, reason="there is no /proc")
def test_a_process_is_of_its_control_groups() -> None:
    group = Path("/proc/self/cgroup").read_text().strip()[-5:]
    assert kernel.is_of_group(os.getpid(), group)
    assert not kernel.is_of_group(os.getpid(), "of-another-machine")
    assert not kernel.is_of_group(0, "")
