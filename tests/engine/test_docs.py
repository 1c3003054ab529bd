"""README.md's quick start and docs/get-started/first-fleet.md, command by command in a new folder."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.docs.pages import ROOT, Block, blocks

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PAGE = "docs/get-started/first-fleet.md"
SLIMBAKE = [sys.executable, "-m", "slimbake"]


def test_the_first_fleet_is_built_and_run_as_the_page_says(tmp_path: Path) -> None:
    manifest = next(each.text for each in blocks("yaml") if each.page == PAGE)
    (tmp_path / "services.yaml").write_text(manifest.replace("mine", "slimbake-docs"))
    calls = [call for each in blocks("") if each.page == PAGE for call in lines(each)]
    assert ["slimbake", "bake"] in calls
    try:
        for call in calls:
            run(call, tmp_path)
    finally:
        run(["slimbake", "down", "--volumes"], tmp_path)
        run(["slimbake", "prune", "--all"], tmp_path)


def test_the_readme_builds_the_fleet_that_it_begins_with(tmp_path: Path) -> None:
    manifest = next(each.text for each in blocks("yaml") if each.page == "README.md")
    (tmp_path / "services.yaml").write_text(manifest.replace("mine", "slimbake-readme"))
    add = "slimbake add search --base web"
    assert f"`{add}`" in (ROOT / "README.md").read_text("utf-8")
    try:
        for call in (add, "slimbake bake", "slimbake up"):
            run(call.split(), tmp_path)
    finally:
        run(["slimbake", "down", "--volumes"], tmp_path)
        run(["slimbake", "prune", "--all"], tmp_path)


def lines(block: Block) -> list[list[str]]:
    """The commands of a block; plain bake is only printed, for it may need a registry."""
    calls = [shlex.split(line, comments=True) for line in block.text.splitlines()]
    plain = ["docker", "buildx", "bake"]
    return [[*call, "--print"] if call[:3] == plain else call for call in calls if call]


def run(call: list[str], folder: Path) -> None:
    """Run a command there; show what it printed if it fails."""
    words = [*SLIMBAKE, *call[1:]] if call[0] == "slimbake" else call
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{call}: {done.stdout}{done.stderr}"
    assert ROOT not in folder.parents
