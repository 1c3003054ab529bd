"""The smallest set that a search found: the least of all searches, while packages and checks are
what they were.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slimbake.config import manifest as read_manifest
from slimbake.config.model import Manifest
from slimbake.proof.smallest import FILE, keep, smallest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """The example fleet without its weights, which are too much to copy and do not matter here."""
    for name in ("services.yaml", "locks", "services", "libs", "parity"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source,
                tmp_path / name,
                ignore=shutil.ignore_patterns("tests", "train", "__pycache__"),
            )
        else:
            shutil.copy(source, tmp_path / name)
    return read_manifest(tmp_path / "services.yaml")


def test_the_least_of_all_searches_is_kept(manifest: Manifest) -> None:
    assert smallest(manifest) == {}
    for size in (300, 200, 250):
        keep(manifest, "api", size)
    keep(manifest, "nlg", 700)
    assert smallest(manifest) == {"api": 200, "nlg": 700}


def test_other_packages_or_another_check_make_it_unknown(manifest: Manifest) -> None:
    for name in ("api", "nlg", "storage"):
        keep(manifest, name, 100)
    root = manifest.file.parent
    smoke, lock = root / "services/api/smoke.py", root / "locks/base-ml.txt"
    smoke.write_text(smoke.read_text() + "\n")
    assert smallest(manifest).keys() == {"nlg", "storage"}
    lock.write_text(lock.read_text().replace("torch==", "torch==9."))
    assert smallest(manifest).keys() == {"storage"}
    keep(manifest, "api", 500)
    assert smallest(manifest)["api"] == 500, "what was less is no longer known to work"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"api": 1}', b"\xff"])
def test_what_cannot_be_read_is_as_if_nothing_was_found(content: bytes, manifest: Manifest) -> None:
    file = manifest.file.parent / FILE
    file.parent.mkdir()
    file.write_bytes(content)
    assert smallest(manifest) == {}


def test_a_service_without_packages_has_none(manifest: Manifest) -> None:
    keep(manifest, "client", 100)
    assert smallest(manifest) == {}
