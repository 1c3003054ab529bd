"""A build's step, made into what a container of the image has."""

import os
import stat
from pathlib import Path

import pytest

from slimbake.inside.check.surroundings import as_service, settle


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("home", "data", "memory/left"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def modes(root: Path) -> dict[str, int]:
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    return {str(path.relative_to(root)): mode for path, mode in found.items()}


def test_only_volumes_and_tmpfs_stay_writable(root: Path) -> None:
    for path in ("home", "data"):
        (root / path).chmod(0o777)
    said = {"SLIMBAKE_VOLUMES": f"{root}/data:{root}/new", "SLIMBAKE_TMPFS": f"{root}/memory"}
    settle(said, str(root))
    assert modes(root) == {"home": 0o555, "data": 0o777, "new": 0o755, "memory": 0o1777}, (
        "a mount hides what the image has at its place"
    )


def test_the_manifest_s_user_owns_what_it_may(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMBAKE_USER", f"{os.getuid() + 1}:{os.getgid() + 1}")
    settle({}, str(root))
    assert modes(root)["home"] == 0o755, "another user's"
    monkeypatch.setenv("SLIMBAKE_USER", f"{os.getuid()}:{os.getgid()}")
    settle({}, str(root))
    assert modes(root)["home"] == 0o555


def test_checks_run_as_the_manifest_s_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_service() == {"user": 65532, "group": 65532, "extra_groups": []}
    monkeypatch.setenv("SLIMBAKE_USER", "1000:0")
    assert as_service() == {"user": 1000, "group": 0, "extra_groups": []}
