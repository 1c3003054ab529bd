"""Folders as they are sent: the same files come to the same digest, on every machine; and what is
not read twice.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimbake.console import QUIET, Console
from slimbake.errors import UsageError
from slimbake.fingerprint import folders
from slimbake.fingerprint.folders import Folder, Folders, Hashes
from slimbake.host.dockerignore import Ignore
from slimbake.host.workspace import Workspace

Tree = dict[tuple[bytes, ...], tuple[str, bytes]]
"""Path -> what it is (file, program, link), and its content or target."""

NAMES = st.binary(min_size=1, max_size=3).filter(
    lambda name: not {*name} & {0, 47} and name not in (b".", b"..")
)
NODES = st.tuples(
    st.sampled_from(["file", "program", "link"]), st.binary(min_size=1, max_size=4)
).map(lambda node: (node[0], node[1].replace(b"\0", b"x")))


def _fits(tree: Tree) -> bool:
    """No file lies where another one needs a folder; no checkout is in it."""
    return not any(path[:cut] in tree for path in tree for cut in range(1, len(path)))


TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map(tuple), NODES, max_size=6
).filter(_fits)


def write(tree: Tree, root: Path, umask: int) -> Path:
    root.mkdir(parents=True)
    before = os.umask(umask)
    try:
        for names, (kind, content) in tree.items():
            path = root.joinpath(*map(os.fsdecode, names))
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                path.symlink_to(os.fsdecode(content))
                continue
            path.write_bytes(content)
            if kind == "program":
                path.chmod(0o777 & ~umask)
    finally:
        os.umask(before)
    return root


def folder(root: Path, ignore: str = "", path: str = ".") -> Folder:
    return Folders(str(root), Hashes(root, Workspace(None)))(path, Ignore(ignore))


@given(TREES)
@settings(max_examples=60)
def test_two_checkouts_of_the_same_files_are_the_same(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        one = write(tree, Path(scratch, "one"), 0o022)
        two = write(dict(reversed(tree.items())), Path(scratch, "elsewhere", "two"), 0o077)
        for path in two.rglob("*"):
            os.utime(path, (1, 1), follow_symlinks=False)
        assert folder(one) == folder(two)


@given(TREES, TREES)
@settings(max_examples=60)
def test_other_files_are_another_folder(first: Tree, second: Tree) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        one = write(first, Path(scratch, "one"), 0o022)
        two = write(second, Path(scratch, "two"), 0o022)
        assert (folder(one).digest == folder(two).digest) == (first == second)


def test_folders_in_folders_without_end_are_refused(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        for _ in range(1000):
            Path("d").mkdir()
            os.chdir("d")
    try:
        with pytest.raises(UsageError, match="deeper than a build can read"):
            folder(tmp_path)
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # rmtree recurses, too


def test_what_is_neither_file_nor_link_is_refused_with_its_path_unless_it_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data/pipe")
    with pytest.raises(UsageError, match=r"^data/pipe is a FIFO, and lies in a build context$"):
        folder(tmp_path)
    assert folder(tmp_path, "data/pipe").parts == (("data", "folder"),)
    (tmp_path / "data/pipe").unlink()
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        with pytest.raises(UsageError, match=r"^s is a socket, and lies in a build context$"):
            folder(tmp_path)


def test_a_folder_that_is_left_out_is_not_even_listed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/link").symlink_to("/nowhere")
    assert folder(tmp_path, "data").parts == ()
    assert [path for path, _ in folder(tmp_path, "data\n!data/link").parts] == ["data/link"]


def test_an_empty_folder_is_sent_and_one_of_which_all_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "one/__pycache__").mkdir(parents=True)
    assert folder(tmp_path, "**/__pycache__").parts == (("one", "folder"),)


def test_a_submodule_without_its_files_is_its_commit(tmp_path: Path) -> None:
    (tmp_path / "libs/sub").mkdir(parents=True)
    record = Hashes(tmp_path, Workspace(None))
    for commit in ("abc", "def"):
        found = Folders(str(tmp_path), record, {"libs/sub": commit})("libs", Ignore(""))
        assert found.parts == (("sub", f"submodule {commit}"),)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"x" * folders.LARGE)
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock these seconds forward: a file that was just written has settled by then."""

    def forward(seconds: float) -> None:
        now = time.time_ns() + int(seconds * 1e9)
        monkeypatch.setattr(time, "time_ns", lambda: now)

    return forward


def hashed(path: Path, console: Console = QUIET) -> str:
    record = Hashes(path.parent, Workspace(path.parent, console))
    digest = record(str(path), path.lstat())
    record.keep()
    return digest


def never(*_: object, **__: object) -> int:
    raise AssertionError("a file was read that is known")


def test_a_large_file_that_has_not_changed_is_not_read_again(
    large: Path, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    later(10)
    digest = hashed(large)
    monkeypatch.setattr("hashlib.file_digest", never)
    assert hashed(large) == digest


def test_a_file_that_changed_just_before_it_was_read_is_read_again(large: Path) -> None:
    hashed(large)
    assert not (large.parent / ".slimbake").exists()


def test_other_content_of_equal_size_is_read(large: Path, later: Callable[[float], None]) -> None:
    later(10)
    digest, before = hashed(large), large.stat()
    large.write_bytes(b"y" * folders.LARGE)
    os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashed(large) != digest


def test_a_file_that_replaced_another_is_read(large: Path, later: Callable[[float], None]) -> None:
    later(10)
    digest = hashed(large)
    other = large.with_name("other")
    shutil.copy2(large, other)
    other.write_bytes(b"z" * folders.LARGE)
    os.utime(other, ns=(large.stat().st_atime_ns, large.stat().st_mtime_ns))
    other.replace(large)
    assert hashed(large) != digest


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"weights.bin": 0}', '{"weights.bin": [1]}'),
        '{"weights.bin": [1, 2, 3, "x", "y"]}',
    ],
)
def test_a_garbled_record_is_made_again(
    large: Path, later: Callable[[float], None], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(10)
    digest = hashed(large)
    (large.parent / ".slimbake/hashes.json").write_text(text)
    said: list[str] = []
    assert hashed(large, Console(said.append)) == digest
    assert said == [".slimbake/hashes.json cannot be read, and is discarded"]
    monkeypatch.setattr("hashlib.file_digest", never)
    assert hashed(large) == digest


def test_without_a_record_the_next_run_reads(large: Path, later: Callable[[float], None]) -> None:
    later(10)
    (large.parent / ".slimbake").write_text("a file in its place")
    assert hashed(large) == hashed(large)


def test_a_sparse_terabyte_in_a_context_is_refused(tmp_path: Path) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 40)
    with pytest.raises(UsageError, match="huge has 1,099,511,627,776 bytes"):
        Folders(str(tmp_path), Hashes(tmp_path, Workspace(None)))(".", Ignore(""))
