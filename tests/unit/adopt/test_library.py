"""`slimbake library`: what it writes, and what it leaves alone."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from slimbake.adopt.library import LIBRARY, write_library
from slimbake.errors import UsageError

FOLDER = f"libs/{LIBRARY}"


def test_the_library_is_written_once_and_updated_by_the_same_command(tmp_path: Path) -> None:
    written = write_library(tmp_path, FOLDER)
    assert f"{FOLDER}/src/slimbake_models/py.typed" in written
    assert {path.suffix for path in map(Path, written)} == {".toml", ".py", ".typed"}
    project = tomllib.loads((tmp_path / FOLDER / "pyproject.toml").read_text("utf-8"))["project"]
    assert (project["name"], project["dependencies"]) == (LIBRARY, [])
    assert write_library(tmp_path, FOLDER) == ()
    changed = tmp_path / FOLDER / "src/slimbake_models/__init__.py"
    changed.write_text("old")
    assert write_library(tmp_path, FOLDER) == (f"{FOLDER}/src/slimbake_models/__init__.py",)
    assert "def load" in changed.read_text("utf-8")


@pytest.mark.parametrize(
    ("folder", "words"),
    [("../models", "lies outside of the repository"), ("shop", "holds another project")],
)
def test_nothing_is_written_over_what_is_not_the_library(
    folder: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "repository/shop").mkdir(parents=True)
    (tmp_path / "repository/shop/pyproject.toml").write_text('[project]\nname = "shop"\n')
    with pytest.raises(UsageError, match=words):
        write_library(tmp_path / "repository", folder)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
