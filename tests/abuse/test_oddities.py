"""Files and settings that nobody means and that are there all the same: no command stumbles over one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.machines import nested

from slimbake.errors import UsageError
from slimbake.inside.locked import Fault
from slimbake.lock.text import parse_pins
from slimbake.release.place import BakeRequest

MANIFEST = """\
project: toys
python: "3.11"
services: {api: {context: api, command: [python, -m, api]}}
"""
SOURCES = {
    "branches": "if a: pass\n" + "elif b: pass\n" * 5000,
    "a sum": "x = " + "1 + " * 10_000 + "1\n",
    "brackets": "(" * 5000 + ")" * 5000,
    "attributes": "a" + ".b" * 10_000,
    "calls": "a" + "()" * 10_000,
    "lambdas": "lambda: " * 5000 + "0",
    "a list in lists": "[" * 5000 + "]" * 5000,
    "no": "x = " + "not " * 10_000 + "1",
    "functions": "".join(f"{' ' * n}def f():\n" for n in range(99)) + " " * 99 + "pass\n",
    "NUL": "import os\0\n",
    "no text": "\udcff = 1",
    "one long line": "x = '" + "a" * 5_000_000 + "'",
}


def repository(root: Path) -> Path:
    (root / "api").mkdir(parents=True)
    (root / "api/Dockerfile").write_text(
        'FROM python:3.11\nCOPY . /app\nWORKDIR /app\nCMD ["python", "-m", "api"]\n'
    )
    (root / "api/api.py").write_text("import os\n")
    return root


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SOURCES)
def test_no_source_breaks_init(name: str, slimbake: Slimbake, tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / "api/api.py").write_text(SOURCES[name], "utf-8", "surrogateescape")
    done = slimbake("init", "--dry-run", at=root)
    assert done.code == 0, done


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


ODD: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "sparse": _sparse,
    "a loop": lambda path: path.symlink_to(path.name),
    "its own folder": lambda path: path.symlink_to(path.parent),
    "a folder": Path.mkdir,
    "closed": lambda path: path.touch(mode=0),
}
PLACES = (
    *("x.py", "requirements.txt", "pyproject.toml", "uv.lock", "Dockerfile.dev", ".dockerignore"),
    "x.bin",
)
COMMANDS = ("init --dry-run", "plan", "check", "lock --check", "ci plan", "generate")


def run_all(slimbake: Slimbake, root: Path, *more: str) -> None:
    """Run the commands: each ends with a documented code, and in no traceback."""
    for command in (*COMMANDS, *more):
        if not command.startswith("init"):
            (root / "services.yaml").write_text(MANIFEST)
        slimbake(*command.split(), at=root)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ODD)
def test_no_file_stops_a_command(kind: str, place: str, slimbake: Slimbake, tmp_path: Path) -> None:
    root = repository(tmp_path)
    ODD[kind](root / "api" / place)
    run_all(slimbake, root)


@pytest.mark.parametrize("folder", ["api", "."])
def test_no_depth_of_folders_stops_a_command(
    folder: str, slimbake: Slimbake, tmp_path: Path
) -> None:
    root = repository(tmp_path)
    os.close(nested(root / folder, 1200))
    (root / "api/pyproject.toml").write_text(
        '[project]\nname = "api"\nversion = "1"\ndependencies = ["b"]\n'
        '[tool.uv]\nsources = {b = {workspace = true}}\nworkspace = {members = ["**/b"]}\n'
    )
    run_all(slimbake, root)
    (root / "services.yaml").write_text(
        MANIFEST.replace("context: api,", "context: api, requirements: pyproject.toml,")
    )
    assert slimbake("plan", at=root).code == (7 if folder == "api" else 2)
    subprocess.run(["rm", "-r", root], check=True)  # pytest does not reach so deep


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", b"a\nb", b"\x1b[2J", "\u202e".encode(), b"a b", b"'\"`$"]
)
def test_no_folder_s_name_breaks_init(name: bytes, slimbake: Slimbake, tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / "api").rename(os.fsdecode(os.fsencode(root) + b"/" + name))
    done = slimbake("init", at=root)
    if done.code == 0:  # what it writes can be read
        assert slimbake("plan", at=root).code == 0
    else:
        assert not (root / "services.yaml").exists()


@pytest.mark.parametrize("home", ["/proc", "/dev/null", "{tmp}/nowhere", ""])
def test_no_home_breaks_a_command(
    home: str, slimbake: Slimbake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path)
    for name in [name for name in os.environ if name.startswith(("XDG_", "SLIMBAKE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", home.format(tmp=tmp_path))
    run_all(slimbake, root, "sizes", "lock")


@pytest.mark.parametrize("registry", ["http://x/y", "https://ghcr.io/a", "oci://x"])
def test_an_address_is_no_registry(registry: str) -> None:
    with pytest.raises(UsageError, match="is no registry"):
        BakeRequest(targets=(), registry=registry, tag="1")


@pytest.mark.parametrize(
    "name", ["../a-1-py3-none-any.whl", "/a-1-py3-none-any.whl", "..\\a.whl", "a/b.whl"]
)
def test_a_lock_names_no_place_for_a_wheel(name: str) -> None:
    with pytest.raises(Fault):
        parse_pins(f"# {name} 9\na==1 \\\n    --hash=sha256:{'a' * 64}\n")
