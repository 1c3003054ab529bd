"""Files that are put in place whole, and the words by which this machine tells folders apart."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from slimbake.host.files import checkout, staged, stands_for, write_all, write_atomically


def test_a_word_stands_for_its_folder_as_long_as_that_is_there(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (tmp_path / "link").symlink_to(one)
    word = checkout(one)
    assert word == checkout(tmp_path / "link") != checkout(two)
    assert stands_for(word) == one
    shutil.rmtree(one)
    assert stands_for(word) is None
    assert stands_for("of-nobody") is None


def test_many_files_need_one_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    listing = os.listdir

    def seen(folder: Path) -> list[str]:
        listed.append(folder)
        return listing(folder)

    monkeypatch.setattr(os, "listdir", seen)
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, others = tmp_path / f".a.txt.{ended.pid}-1", tmp_path / f".c.txt.{ended.pid}-1"
    download = tmp_path / f".b.txt.{ended.pid}"
    running = tmp_path / f".b.txt.{os.getpid()}-0"
    for half in (left, others, running, download):
        half.touch()
    write_all({tmp_path / "a.txt": b"a", tmp_path / "b.txt": b"b", tmp_path / "in/a.txt": b"c"})
    assert sorted(listed) == [tmp_path, tmp_path / "in"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("a.txt", "b.txt", "in", others.name, running.name)
    }
    assert (tmp_path / "in/a.txt").read_bytes() == b"c"


def test_files_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    old = tmp_path / "old.txt"
    old.write_text("old")
    with pytest.raises(RuntimeError), staged() as write:
        write(old, (b"new",))
        write(tmp_path / "in/new.txt", (b"new",))
        assert old.read_text() == "old"
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["old.txt", "in"]
    assert old.read_text() == "old"
    with staged() as write:
        write(old, (b"new",), 0o600)
        write(tmp_path / "in/new.txt", (b"new",))
    assert (old.read_text(), old.stat().st_mode & 0o777) == ("new", 0o600)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "new.txt", "old.txt"]


def test_a_link_in_the_place_of_a_half_is_removed_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("kept")
    half = f".a.txt.{os.getpid()}-{threading.get_native_id()}"
    (tmp_path / half).symlink_to(other)
    write_all({tmp_path / "a.txt": b"new"})
    assert ((tmp_path / "a.txt").read_text(), other.read_text()) == ("new", "kept")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "other"}


def test_a_bare_name_is_in_the_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_all({Path("report.html"): b"page"})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_device_is_written_to_and_stays() -> None:
    reading, writing = os.openpty()  # never /dev/null: a fault would replace it for everybody
    device = Path(os.ttyname(writing))
    write_atomically(device, b"x")
    assert device.is_char_device() and os.read(reading, 1) == b"x"
    os.close(reading)
    os.close(writing)
