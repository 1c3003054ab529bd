"""`slimbake lock --fetch`: what comes into the wheelhouse, and what happens when something breaks."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.index import Index
from tests.lock.conftest import Repo
from tests.wheels import make_wheel, wheel_bytes

from slimbake.inside import fetch

NAMES = ("core", "frame", "leaf", "tool")
WHEELS = [f"{name}-1-py3-none-any.whl" for name in NAMES]


@pytest.fixture
def locked(repo: Repo, index: Index, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A fleet with four packages, locked; nothing is fetched yet."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    index.add("core", "1")
    index.add("frame", "1", ["core"])
    index.add("leaf", "1")
    index.add("tool", "1", ["leaf", "core"])
    repo.lock("[frame]", a="[tool]", b="[leaf]")
    assert index.fetched() == [], "a lock needs no wheel"
    return repo


def test_each_file_is_fetched_once_whole_and_under_its_hash(locked: Repo) -> None:
    done = locked.done("lock", "--fetch")
    total = sum(len(locked.index.files[name]) for name in WHEELS)
    assert done.stdout.startswith(f"4 files, {total / 1e6:,.1f} MB, 4 wheels fetched now")
    assert sorted(locked.index.fetched()) == WHEELS
    assert sorted(locked.held()) == WHEELS
    for name, path in locked.held().items():
        assert path.read_bytes() == locked.index.files[name]
        assert path.parent.name == fetch.hashed(path)


def test_a_fetch_continues_after_the_index_went_down(locked: Repo) -> None:
    locked.index.breaks["tool-1-py3-none-any.whl"] = [503] * fetch.ATTEMPTS
    done = locked.run("lock", "--fetch")
    assert done.code == 7
    assert "tool-1-py3-none-any.whl: the index broke off 5 times: HTTP Error 503" in done.stderr
    assert "run the same command: it continues" in done.stderr
    there = set(locked.held())
    assert there and "tool-1-py3-none-any.whl" not in there
    assert list(locked.wheelhouse.rglob(".*whl*")) == [], "nothing half-written"
    locked.index.asked.clear()
    assert locked.run("lock", "--fetch").code == 0
    assert sorted(locked.index.fetched()) == sorted(set(WHEELS) - there), "only what is missing"


@pytest.mark.parametrize(
    ("harm", "named"), [(lambda good: bytes(len(good)), True), (lambda good: good[:-1], False)]
)
def test_a_damaged_file_is_fetched_again_and_named_where_a_size_does_not_tell(
    locked: Repo, harm: Callable[[bytes], bytes], named: bool
) -> None:
    assert locked.run("lock", "--fetch").code == 0
    path = locked.held()["core-1-py3-none-any.whl"]
    good = path.read_bytes()
    path.write_bytes(harm(good))
    done = locked.run("lock", "--fetch")
    assert done.code == 0
    said = "core-1-py3-none-any.whl is damaged: slimbake downloads it again\n"
    assert (said in done.stderr) is named
    assert path.read_bytes() == good
    assert locked.run("lock", "--fetch").stderr == ""


def test_a_file_that_the_index_has_replaced_is_refused_by_name(locked: Repo) -> None:
    old = hashlib.sha256(locked.index.files["tool-1-py3-none-any.whl"]).hexdigest()
    new = locked.index.publish(
        "tool", "tool-1-py3-none-any.whl", wheel_bytes("tool", "1", files={"evil.py": b""})
    )
    done = locked.run("lock", "--fetch")
    assert done.code == 7
    assert (
        f"tool-1-py3-none-any.whl: the index now has tool-1-py3-none-any.whl with sha256 {new}, the"
        f" lock {old}" in done.stderr
    )
    assert "`slimbake lock --upgrade tool`" in done.stderr


def test_a_better_wheel_that_the_index_got_since_changes_nothing(locked: Repo) -> None:
    locked.index.add("tool", "1", ["leaf", "core"], tag="cp311-cp311-manylinux_2_17_x86_64")
    locked.done("lock", "--fetch")
    assert "tool-1-py3-none-any.whl" in locked.held()


def test_a_wheel_that_the_index_no_longer_has_is_named(locked: Repo) -> None:
    del locked.index.entries["tool"]
    done = locked.run("lock", "--fetch")
    assert done.code == 7
    assert "no index has what the locks name" in done.stderr and "tool" in done.stderr


def test_only_locked_wheels_are_taken_from_a_local_folder(locked: Repo, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in WHEELS:
        (folder / name).write_bytes(locked.index.files[name])
    locked.monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    locked.monkeypatch.setenv("UV_NO_INDEX", "1")
    locked.done("lock", "--fetch")
    assert sorted(locked.held()) == WHEELS and locked.index.fetched() == []
    shutil.rmtree(locked.wheelhouse)
    (folder / WHEELS[0]).write_bytes(wheel_bytes("core", "1", files={"evil.py": b""}))
    done = locked.run("lock", "--fetch")
    assert done.code == 7
    assert f"{WHEELS[0]}: {folder} now has {WHEELS[0]} with sha256 " in done.stderr
    assert WHEELS[0] not in locked.held()


# --- the disk


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system needs root and the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_too_small_stops_a_fetch_at_once(repo: Repo, index: Index, small: Path) -> None:
    index.publish(
        "large",
        "large-1-py3-none-any.whl",
        wheel_bytes("large", "1", files={"large.bin": bytes(200_000)}),
    )
    repo.monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(small))
    repo.lock("[large]")
    before = len(index.fetched())
    done = repo.run("lock", "--fetch")
    assert done.code == 7
    assert f"the wheelhouse needs 0.2 MB more, and 0.1 MB are free in {small}" in done.stderr
    assert "make room, or name another folder in SLIMBAKE_WHEELHOUSE" in done.stderr
    assert len(index.fetched()) == before
    assert list(small.rglob("*.whl")) == []


@pytest.mark.parametrize("local", [False, True], ids=["downloaded", "copied from a folder"])
def test_a_disk_that_fills_up_leaves_no_partial_file(
    local: bool, repo: Repo, index: Index, small: Path, tmp_path: Path
) -> None:
    files = {"torch.bin": bytes(50_000)}
    if local:
        make_wheel(tmp_path / "folder", "torch", "2.0+cpu", files=files)
        repo.monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "folder"))
    else:
        content = wheel_bytes("torch", "2.0+cpu", files=files)
        index.publish("torch", "torch-2.0+cpu-py3-none-any.whl", content)
        repo.monkeypatch.setenv("UV_INDEX", f"{index.url}/cpu")
    repo.monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(small))
    # Another process takes what was free when it was looked at.
    repo.monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 0, 10**6)
    )
    (small / "other").write_bytes(bytes(30_000))
    torch(repo)
    done = repo.run("lock", "--fetch")
    assert done.code == 7
    assert "the wheelhouse needs 0.1 MB more" in done.stderr
    assert [path for path in small.rglob("*torch*") if path.is_file()] == []
    (small / "other").unlink()
    assert repo.run("lock", "--fetch").code == 0


def test_a_wheelhouse_that_cannot_be_written_is_said(locked: Repo, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    locked.monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(tmp_path / "file"))
    done = locked.run("lock", "--fetch")
    assert done.code == 7
    assert (
        "the wheelhouse cannot be written: " in done.stderr and "SLIMBAKE_WHEELHOUSE" in done.stderr
    )


# --- unresolved


def torch(repo: Repo) -> None:
    base = "bases:\n  ml: {requirements: [torch], torch: cpu}\n"
    repo.write(f"{base}services:\n  rank: {{base: ml, context: rank}}\n", {"rank/app.py": ""})
    repo.done("lock")


def test_a_wheel_of_a_folder_is_taken_by_its_hash(repo: Repo, tmp_path: Path) -> None:
    folder, name = tmp_path / "folder", "torch-2.0+cpu-py3-none-any.whl"
    first = make_wheel(folder, "torch", "2.0+cpu").read_bytes()
    repo.monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    torch(repo)
    sha256 = hashlib.sha256(first).hexdigest()
    pin = f"# {name} {len(first)}\ntorch==2.0+cpu \\\n    --hash=sha256:{sha256}\n"
    assert pin in repo.locked()["base-ml.txt"]
    assert repo.run("lock").code == 0
    assert repo.run("lock", "--fetch").code == 0
    assert repo.held()[name].read_bytes() == first
    make_wheel(folder, "torch", "2.0+cpu", files={"torch.py": b"built again"})
    assert repo.run("lock", "--check").code == 0
    assert ", 0 wheels fetched now" in repo.run("lock", "--fetch").stdout, "the copy serves"
    shutil.rmtree(repo.wheelhouse)
    done = repo.run("lock", "--fetch")
    assert done.code == 7 and "now has" in done.stderr and ", the lock " in done.stderr
    shutil.rmtree(folder)


# --- two at once


def test_two_fetches_at_once_both_end_well_and_the_files_are_whole(locked: Repo) -> None:
    both = [locked.start("lock", "--fetch") for _ in range(2)]
    ended = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert sorted(locked.index.fetched()) == WHEELS, "each once"
    assert {name: path.read_bytes() for name, path in locked.held().items()} == {
        name: locked.index.files[name] for name in WHEELS
    }
