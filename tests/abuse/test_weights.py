"""Links in `weights:` that lead out, what is no file there, and what is too large: no lock has a hash of what lies
elsewhere, and every command ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.machines import locked, nested

from slimbake.lock.locks import weights_text

SECRET = b"wJalrXUtnFEMI\n"
HASH = hashlib.sha256(SECRET).hexdigest()
MANIFEST = """\
project: toys
python: "3.11"
services:
  one: {context: one, requirements: requirements.txt, smoke: smoke.py, weights: {path: model/small}}
"""
FILES = {
    "services.yaml": MANIFEST,
    "one/requirements.txt": "frame\n",
    "one/smoke.py": "import frame\n",
    "model/small/config.json": "{}\n",
    "model/small/deep/model.safetensors": "0123456789\n",
}


def _linked(to: str) -> Callable[[Path, Path], None]:
    """A link in a file's place, to a path of this machine or of the folder outside."""
    return lambda path, outside: path.symlink_to(to.format(outside=outside))


def _relative(path: Path, outside: Path) -> None:
    path.symlink_to(os.path.relpath(outside / "secret", path.parent))


def _chain(path: Path, outside: Path) -> None:
    path.with_name("a-link").symlink_to(outside / "secret")
    path.symlink_to("a-link")


def _by_a_folder(path: Path, outside: Path) -> None:
    path.with_name("a-link").symlink_to(outside)
    path.symlink_to("a-link/secret")


def _linked_fifo(path: Path, outside: Path) -> None:
    os.mkfifo(outside / "pipe")
    path.symlink_to(outside / "pipe")


def _socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
        made.bind(path.name)  # short, as a socket's has to be


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _linked_sparse(path: Path, outside: Path) -> None:
    _sparse(outside / "huge")
    path.symlink_to(outside / "huge")


def _sparse_together(path: Path, _: Path) -> None:
    """One that may be hashed, and a link to it that may not be hashed as well."""
    path.touch()
    os.truncate(path, 3 << 20)
    path.with_name("z-link").symlink_to(path.name)


def _folder_is_a_link(path: Path, outside: Path) -> None:
    """The folder of the weights leads out."""
    shutil.copytree(path.parent, outside / "folder")
    (outside / "folder" / path.name).write_bytes(SECRET)
    shutil.rmtree(path.parent)
    path.parent.symlink_to(outside / "folder")


PLACED: dict[str, Callable[[Path, Path], None]] = {
    "a file": _linked("{outside}/secret"),
    "a file, relative": _relative,
    "a chain of links": _chain,
    "a linked folder": _by_a_folder,
    "a folder elsewhere": _linked("{outside}"),
    "the folder of the weights": _folder_is_a_link,
    "its own folder": lambda path, _: path.symlink_to(path.parent),
    "itself": lambda path, _: path.symlink_to(path.name),
    "nothing": _linked("{outside}/nowhere"),
    "the password file": _linked("/etc/passwd"),
    "the log of the kernel": _linked("/proc/kmsg"),
    "the environment": _linked("/proc/self/environ"),
    "memory": _linked("/proc/self/mem"),
    "the root of the process": _linked("/proc/self/root/etc/passwd"),
    "the program of the process": _linked("/proc/self/exe"),
    "standard input": _linked("/proc/self/fd/0"),
    "zeros": _linked("/dev/zero"),
    "random": _linked("/dev/urandom"),
    "a terminal": _linked("/dev/tty"),
    "a full device": _linked("/dev/full"),
    "a trace": _linked("/sys/kernel/tracing/trace_pipe"),
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a FIFO elsewhere": _linked_fifo,
    "a socket": _socket,
    "a sparse terabyte": lambda path, _: _sparse(path),
    "a sparse terabyte elsewhere": _linked_sparse,
    "too much together": _sparse_together,
}
PLACES = ("config.json", "deep/model.safetensors")
COMMANDS = ("lock", "check")


@pytest.fixture(scope="module")
def repository(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locked, and what is generated."""
    return locked(tmp_path_factory.mktemp("weights"), FILES)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", PLACED)
def test_no_lock_has_a_hash_of_what_weights_lead_to(
    kind: str,
    place: str,
    repository: Path,
    slimbake: Slimbake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "too much together":
        monkeypatch.setattr("slimbake.lock.locks.LARGEST_HASHED", 4 << 20)
    root, outside = tmp_path / "repository", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    shutil.copytree(repository, root)
    path = root / "model/small" / place
    path.unlink()
    PLACED[kind](path, outside)
    before = {file.name: file.read_text() for file in (root / "bake/locks").iterdir()}
    for command in COMMANDS:
        ended = slimbake(command, at=root)
        assert ended.code, command
        assert HASH not in ended.stdout + ended.stderr, command
    assert {file.name: file.read_text() for file in (root / "bake/locks").iterdir()} == before


def test_a_link_within_the_repository_is_locked(
    repository: Path, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = shutil.copytree(repository, tmp_path / "repository")
    (root / "model/small/config.json").rename(root / "model/config.json")
    (root / "model/small/config.json").symlink_to("../config.json")
    assert slimbake("lock", "--check", at=root).code == 0


def test_weights_may_be_nested_deeper_than_python_calls(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    innermost = nested(tmp_path / "w", 1200)
    os.close(os.open("x", os.O_CREAT, dir_fd=innermost))
    os.close(innermost)
    assert weights_text(tmp_path, "w").endswith("/a/x\n")
    subprocess.run(["rm", "-r", tmp_path / "w"], check=True)  # pytest does not reach so deep
