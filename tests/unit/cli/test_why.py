"""`slimbake why`: of images that an engine would have."""

import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slimbake.cli import slimbake
from slimbake.errors import NothingSelected
from slimbake.inside.ledger import LedgerEntry
from slimbake.warm.why import COLD, Why

FOUND = (
    Why("base-web", LedgerEntry("thing/late.py", 9, 9, COLD, "thing", "1")),
    Why("base-web", LedgerEntry("thing/a.pyi", 5, 0, "stubs", "thing", "1")),
)
MODULES = (("thing/late.py", b"value = 1"), ("other.py", b""))


@pytest.fixture(autouse=True)
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that was baked, in the working directory."""
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(
        'project: toy\npython: "3.11"\nservices: {api: {context: api, command: [a]}}\n'
    )
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("slimbake.cli.why")
    monkeypatch.setattr(module, "held_images", lambda names, **_: dict.fromkeys(names, "id"))
    monkeypatch.setattr(module, "changed", lambda _: FOUND)
    monkeypatch.setattr(module, "is_there", lambda *_: False)
    monkeypatch.setattr(module, "cold_modules", lambda _: iter(MODULES))


def why(*words: str) -> Result:
    return CliRunner().invoke(slimbake, ["why", *words])


def test_what_became_of_a_folder_is_said_rule_by_rule() -> None:
    lines = why("thing").stdout.splitlines()
    assert lines[0] == "thing: 2 files: 1 cold, 1 stubs"
    assert "cold (moved: imported from there as before), on base-web, in api" in lines
    assert "  thing/a.pyi  5 B  thing 1" in lines
    assert [each["path"] for each in json.loads(why("thing.late", "--json").stdout)["api"]] == [
        "thing/late.py"
    ]


def test_what_is_cold_of_a_path_is_written_into_a_folder(tmp_path: Path) -> None:
    assert why("thing", "--extract", "out").stdout == "1 file in out\n"
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"value = 1"]
    assert isinstance(why("thing/a.pyi", "--extract", "out").exception, NothingSelected)


def test_what_nothing_touched_is_an_end_with_3_and_a_lead() -> None:
    done = why("thing.lat")
    assert isinstance(done.exception, NothingSelected)
    assert done.exception.hint == "did you mean 'thing.late'?"
    assert why().stdout.startswith("stubs: ") or "stubs: " in why().stdout
