"""The words by which this machine tells folders apart."""

from __future__ import annotations

import shutil
from pathlib import Path

from slimbake.host.files import checkout, stands_for


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
