"""Commands at once in one repository: none removes what another is about to put in place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.machines import documented, tree

from slimbake.render import MARK

MANIFEST = """\
project: toys
python: "3.11"
bases: {web: {requirements: [core]}}
services:
  one: {context: ., requirements: one/requirements.txt, command: [a]}
  two: {context: two, base: web, requirements: [leaf], command: [a]}
"""
FILES = {
    "services.yaml": MANIFEST,
    "one/requirements.txt": "frame\n",
    "two/a.py": "import leaf\n",
}
FOLDERS = (
    *("bake/programs", "bake/dockerfiles", "bake/dockerfiles/layers", "bake/locks", "bake", "."),
    ".slimbake",
)
NAMES = ("make.pyz", "one.Dockerfile", "one.txt", "inputs.json", "docker-bake.hcl")
COMMANDS = ("generate", "lock")


@pytest.fixture(scope="module")
def repository(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locked, and what is generated."""
    root = tmp_path_factory.mktemp("together")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for command in ("lock", "generate"):
        words = [sys.executable, "-m", "slimbake", command]
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return root


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
    gone = [half.name for half in halves if not half.exists()]
    assert gone == []


@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_process_left_is_removed(
    name: str, repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    half = root / "bake/programs" / f".{name}.{_ended()}-7"
    half.write_text(f"# {MARK}\n")
    assert slimbake("generate", at=root).code == 0
    assert not half.exists()


AT_ONCE = (
    (("generate",) * 4, "bake/programs"),
    (("lock",) * 3, "bake"),
    (("generate", "lock", "check", "generate", "lock", "plan"), "bake/programs"),
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("commands", "removed"), AT_ONCE, ids=[f"{' '.join(words)} {path}" for words, path in AT_ONCE]
)
def test_commands_at_once_end_as_one_does(
    commands: tuple[str, ...], removed: str, repository: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    before = tree(root)
    path = root / removed
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "slimbake", *command.split()],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    for process in running:
        stdout, stderr = process.communicate()
        documented(process.returncode, stdout, stderr)
    for command in ("lock", "generate"):
        words = [sys.executable, "-m", "slimbake", command]
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    left = tree(root)
    assert {path for path in left if "/.slimbake" not in path} == {
        path for path in before if "/.slimbake" not in path
    }
