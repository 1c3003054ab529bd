"""What `slimbake init` makes of whole repositories: the manifest, the smokes, and every note."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slimbake.adopt.init import InitRequest, all_notes, init, start
from slimbake.config import manifest
from slimbake.console import QUIET
from slimbake.fleet import resolve
from slimbake.plan import plan

FIXTURES = Path(__file__).parents[1] / "fixtures/repositories"
EXPECTED = Path(__file__).parent / "repositories"
every_repository = pytest.mark.parametrize("name", sorted(each.name for each in FIXTURES.iterdir()))


@every_repository
def test_a_repository_gives_exactly_this_manifest_these_smokes_and_these_notes(
    name: str, golden: Callable[[Path, str], None]
) -> None:
    decided = start(FIXTURES / name / "services.yaml", InitRequest())
    golden(EXPECTED / name / "services.yaml", decided.text)
    golden(EXPECTED / name / "notes.txt", "".join(f"{note}\n" for note in all_notes(decided)))
    smokes = (f"# {path}\n{text}" for path, text in sorted(decided.files.items()))
    golden(EXPECTED / name / "smokes.txt", "\n".join(smokes))


@every_repository
def test_what_is_written_is_a_manifest_with_a_plan(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    shutil.copytree(FIXTURES / name, root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    init(root / "services.yaml", InitRequest(), QUIET)
    checked = manifest(root / "services.yaml")
    assert {target.name for target in plan(resolve(checked)).targets} >= {
        service.name for service in checked.services
    }
    assert all(path.read_bytes() == content for path, content in before.items())
