"""Links of a repository that lead out, what is no file, and what is too large: no command shows a word of what lies
elsewhere, waits for a FIFO or reads without end.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.machines import locked

KEY = "wJalrXUtnFEMI"
SECRETS = {
    "a word": f"{KEY}\n",
    "a mapping": f"{KEY}: {KEY}\n",
    "of slimbake": f"# slimbake {KEY}\n{KEY}=={KEY}\n",
}
MANIFEST = """\
project: toys
python: "3.11"
registry: 127.0.0.1:1/toys
bases: {web: {requirements: [core]}}
services:
  one: {context: one, base: web, requirements: requirements.txt, smoke: smoke.py}
  two: {context: two, dockerfile: two/Dockerfile}
"""
FILES = {
    "services.yaml": MANIFEST,
    "one/requirements.txt": "frame\n",
    "one/smoke.py": "import frame\n",
    "one/.dockerignore": "*.md\n",
    "two/Dockerfile": "FROM scratch\nCOPY a /a\n",
    "two/a": "a\n",
    "compose.yaml": "services: {three: {build: three}}\n",
    "three/Dockerfile": 'FROM python:3.11\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCMD ["a"]\n',
    "three/requirements.txt": "leaf\n",
    "three/.env": "A=1\n",
    "pyproject.toml": "[project]\nname = 'toys'\nversion = '1'\n",
    "templates/runtime.Dockerfile.j2": "FROM scratch\n",
    "docker-bake.hcl.j2": "# {{ 1 }}\n",
    "templates/service-skeleton/any/smoke.py.j2": "import frame\n",
    "bake/sizes.json": "{}\n",
    "bake/parity.json": "{}\n",
    "bake/slimbake.txt": "a\n",
    ".gitlab-ci.yml": "a: 1\n",
    ".slimbake/hashes.json": "{}\n",
}
MADE = (
    *("bake/locks/base-web.txt", "bake/locks/one.txt", "bake/locks/inputs.json"),
    *("bake/dockerfiles/base-web.Dockerfile", "bake/services.schema.json"),
)  # by `lock` and `generate`
COMMANDS = ("check", "plan", "generate", "lock --check", "init --dry-run", "add new --base web")
SOME = (
    *("services.yaml", "one/requirements.txt", "two/Dockerfile", "compose.yaml"),
    *("docker-bake.hcl.j2", "bake/locks/base-web.txt", "templates/runtime.Dockerfile.j2"),
)


def _linked(to: str) -> Callable[[Path, Path], None]:
    return lambda place, outside: place.symlink_to(to.format(outside=outside))


def _far(place: Path, outside: Path) -> None:
    place.symlink_to(os.path.relpath(outside / "credentials", place.parent))


def _chain(place: Path, outside: Path) -> None:
    between = place.with_name("between")
    between.symlink_to(outside / "credentials")
    place.symlink_to("between")


def _folder(place: Path, outside: Path) -> None:
    """The folder that it lies in leads out."""
    inside = outside / "folder"
    inside.mkdir()
    (inside / place.name).write_text((outside / "credentials").read_text())
    for path in place.parent.iterdir():
        path.rename(inside / path.name)
    place.parent.rmdir()
    place.parent.symlink_to(inside)


def _huge(place: Path, _: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 33)


PLACED: dict[str, Callable[[Path, Path], None]] = {
    "a file": _linked("{outside}/credentials"),
    "a chain": _chain,
    "a folder": _folder,
    "a FIFO": lambda place, _: os.mkfifo(place),
    "huge": _huge,
    "a process": _linked("/proc/self/environ"),
    "a device": _linked("/dev/zero"),
}


@pytest.fixture(scope="module")
def repository(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locked, and what is generated."""
    return locked(tmp_path_factory.mktemp("links"), FILES)


@dataclass(frozen=True)
class Attack:
    """A file of a repository in whose place something else lies, and all commands."""

    repository: Path
    slimbake: Slimbake
    folder: Path

    def __call__(self, file: str, place: Callable[[Path, Path], None], text: str) -> None:
        root, outside = self.folder / "repository", self.folder / "outside"
        outside.mkdir()
        (outside / "credentials").write_text(text)
        shutil.copytree(self.repository, root)
        (root / file).unlink()
        place(root / file, outside)
        for command in COMMANDS:
            ended = self.slimbake(*command.split(), at=root)
            assert KEY not in ended.stdout + ended.stderr, command


@pytest.fixture
def attack(repository: Path, slimbake: Slimbake, tmp_path: Path) -> Attack:
    return Attack(repository, slimbake, tmp_path)


@pytest.mark.parametrize(
    ("file", "secret"),
    [
        *((file, "a mapping") for file in (*FILES, *MADE)),
        *((file, secret) for file in SOME for secret in ("a word", "of slimbake")),
    ],
)
def test_no_command_shows_what_a_link_leads_to(file: str, secret: str, attack: Attack) -> None:
    attack(file, _far, SECRETS[secret])


@pytest.mark.parametrize(
    ("file", "place"),
    # The folder of a file at the root is the repository itself.
    [(file, place) for file in SOME for place in PLACED if place != "a folder" or "/" in file],
)
def test_what_is_no_file_is_not_read(
    file: str, place: str, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMBAKE_TEST", KEY)
    attack(file, PLACED[place], SECRETS["a mapping"])
