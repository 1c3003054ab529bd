"""What `slimbake init` makes of whole repositories: the manifest, and all that it says."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slimbake.adopt.init import InitRequest, init, report, start
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
    "monorepo": "edge gateway legacy search shared",
    "ocr": "ocr",
    "odd-compose": "api admin scripted again shelly",
    "poetry-services": "orders billing",
    "torch-api": "torch-api",
    "uv-workspace": "jobs api indexer",
}
every_repository = pytest.mark.parametrize("name", sorted(each.name for each in FIXTURES.iterdir()))


@every_repository
def test_a_repository_gives_this_manifest(name: str, golden: Callable[[Path, str], None]) -> None:
    decided = start(FIXTURES / name / "services.yaml", InitRequest())
    assert {each.name for each in decided.drafts} == {*SERVICES[name].split()}
    golden(EXPECTED / name / "services.yaml", decided.text)
    golden(EXPECTED / name / "report.txt", "".join(f"{line}\n" for line in report(decided)))


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
