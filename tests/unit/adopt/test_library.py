"""`slimbake library`: what it writes, and what it leaves alone."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from slimbake.adopt.library import LIBRARY, write_library
from slimbake.errors import UsageError

ROOT = Path(__file__).parents[3]
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


def test_the_example_runs_the_very_library_that_users_get(tmp_path: Path) -> None:
    services = ROOT / "examples/atlas/services"
    for name in ("embedding", "hybrid", "nlg"):
        lines = (services / name / "requirements.txt").read_text("utf-8").splitlines()
        folders = [(services / name / line).resolve() for line in lines if line.startswith("..")]
        assert ROOT / FOLDER in folders, name
    written = write_library(tmp_path, FOLDER)
    tracked = subprocess.check_output(("git", "ls-files", FOLDER), cwd=ROOT, text=True).split()
    assert sorted(written) == sorted(tracked), "its wheel has files that `slimbake library` lacks"
    for name in written:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), name
