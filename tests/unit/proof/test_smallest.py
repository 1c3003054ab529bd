"""The smallest set that a search found: the least of all searches, while packages and checks are
what they were.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slimbake.project import Project, load, reread
from slimbake.proof.smallest import SMALLEST, keep, smallest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The example fleet without its weights, which are too much to copy and do not matter here."""
    for name in ("services.yaml", "bake", "examples", "libs"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source,
                tmp_path / name,
                ignore=shutil.ignore_patterns("tests", "train", "__pycache__"),
            )
        else:
            shutil.copy(source, tmp_path / name)
    return load(tmp_path / "services.yaml")


def test_the_least_of_all_searches_is_kept(project: Project) -> None:
    assert smallest(project) == {}
    for size in (300, 200, 250):
        keep(project, "api", size)
    keep(project, "nlg", 700)
    assert smallest(project) == {"api": 200, "nlg": 700}


def test_other_packages_or_another_check_make_it_unknown(project: Project) -> None:
    for name in ("api", "nlg", "storage"):
        keep(project, name, 100)
    root = project.root
    smoke, lock = root / "examples/atlas/services/api/smoke.py", root / "bake/locks/base-ml.txt"
    smoke.write_text(smoke.read_text() + "\n")
    assert smallest(reread(project)).keys() == {"nlg", "storage"}
    lock.write_text(lock.read_text().replace("torch==", "torch==9."))
    now = reread(project)
    assert smallest(now).keys() == {"storage"}
    keep(now, "api", 500)
    assert smallest(now)["api"] == 500, "what was less is no longer known to work"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"api": 1}', b'{"api": ["x"]}', b'{"api": ["x", "y"]}', b"\xff"]
)
def test_what_cannot_be_read_is_as_if_nothing_was_found(content: bytes, project: Project) -> None:
    file = project.workspace.path(f"{SMALLEST}.json")
    file.parent.mkdir()
    file.write_bytes(content)
    assert smallest(project) == {}
    keep(project, "api", 300)
    assert smallest(project) == {"api": 300}


def test_a_service_without_packages_has_none(project: Project) -> None:
    keep(project, "client", 100)
    assert smallest(project) == {}
