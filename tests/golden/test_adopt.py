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
# What somebody who knows them would say they run.
SERVICES = {
    "django-shop": "web worker beat migrate frontend",
    "full-stack": "backend celery-worker flower dashboard frontend",
    "monorepo": "edge gateway legacy mailer search shared",
    "ocr": "ocr",
    "odd-compose": "api admin scripted again shelly",
    "poetry-services": "orders billing",
    "torch-api": "torch-api",
    "uv-workspace": "jobs api indexer",
}
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


def test_of_ten_services_eight_are_carried_over_and_the_rest_is_named() -> None:
    carried, named = set(), set()
    for name, services in SERVICES.items():
        decided = start(FIXTURES / name / "services.yaml", InitRequest())
        entries = {each.name: each.entry for each in decided.drafts}
        assert entries.keys() <= {*services.split()}
        notes = all_notes(decided)
        for service in services.split():
            own = "dockerfile" in entries.get(service, {})
            advised = any(f"`slimbake init --service {service}`" in each.advice for each in notes)
            if service in entries and not own:
                carried.add((name, service))
            elif advised or (own and any(each.service == service for each in notes)):
                named.add((name, service))
    every = {(name, each) for name, services in SERVICES.items() for each in services.split()}
    assert {each.name for each in FIXTURES.iterdir()} == SERVICES.keys()
    assert carried | named == every
    assert len(carried) >= 0.8 * len(every)
    assert named == {
        ("django-shop", "frontend"),
        ("full-stack", "frontend"),
        ("monorepo", "edge"),
        ("monorepo", "mailer"),
    }
