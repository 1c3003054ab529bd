"""Files that are put in place whole, and the words by which this machine tells folders apart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slimbake.host.files import checkout, stands_for, write_all


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


def test_many_files_are_written_with_one_listing_of_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []
    listing = Path.iterdir

    def seen(folder: Path) -> Iterator[Path]:
        listed.append(folder)
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", seen)
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
