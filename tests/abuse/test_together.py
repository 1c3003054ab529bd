"""Commands at once in one repository: none removes what another is about to put in place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.machines import documented, locked, tree

from slimbake.render import MARK

MANIFEST = """\
project: toys
python: "3.11"
bases: {web: {requirements: [core]}}
services:
  one: {context: ., requirements: one/requirements.txt, command: [a]}
  two: {context: two, base: web, requirements: [leaf], command: [a]}
"""
FILES = {"services.yaml": MANIFEST, "one/requirements.txt": "frame\n", "two/a.py": "import leaf\n"}
FOLDERS = (
    *("bake/programs", "bake/dockerfiles", "bake/dockerfiles/layers", "bake/locks", "bake", "."),
    ".slimbake",
)
NAMES = ("make.pyz", "one.Dockerfile", "one.txt", "inputs.json", "docker-bake.hcl")
COMMANDS = ("generate", "lock")


@pytest.fixture(scope="module")
def repository(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locked, and what is generated."""
    return locked(tmp_path_factory.mktemp("together"), FILES)


def _ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_file_that_another_process_makes_stays(
    folder: str, command: str, repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    (root / folder).mkdir(exist_ok=True)
    halves = [root / folder / f".{name}.{os.getppid()}-7" for name in NAMES]
    for half in halves:
        half.write_text(f"# {MARK}\n")
    assert slimbake(command, at=root).code == 0
    assert [half.name for half in halves if not half.exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_process_left_is_removed(
    name: str, repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    half = root / "bake/programs" / f".{name}.{_ended()}-7"
    half.write_text(f"# {MARK}\n")
    assert slimbake("generate", at=root).code == 0
    assert not half.exists()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("commands", "removed"),
    [
        ("generate generate generate generate", "bake/programs"),
        ("lock lock lock", "bake"),
        ("generate lock check generate lock plan", "bake/programs"),
    ],
)
def test_commands_at_once_end_as_one_does(
    commands: str, removed: str, repository: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    before = tree(root)
    shutil.rmtree(root / removed)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "slimbake", command],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands.split()
    ]
    for process in running:
        stdout, stderr = process.communicate()
        documented(process.returncode, stdout, stderr)
    locked(root, {})
    assert _repository(tree(root)) == _repository(before)


def _repository(paths: Iterable[str]) -> set[str]:
    return {path for path in paths if "/.slimbake" not in path}
