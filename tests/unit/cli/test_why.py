"""`slimbake why`: of images that an engine would have."""

import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.toys import toy

from slimbake.cli import slimbake
from slimbake.errors import NothingSelected
from slimbake.inside.ledger import LedgerEntry

FOUND = (
    LedgerEntry("thing/lib.so", 9, 7, "symbols", "thing", "1", "0" * 64),
    LedgerEntry("thing/a.pyi", 5, 0, "stubs", "thing", "1"),
)


@pytest.fixture(autouse=True)
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that was baked, in the working directory."""
    toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("slimbake.cli.why")
    monkeypatch.setattr(module, "held_images", lambda names, **_: dict.fromkeys(names, "id"))
    monkeypatch.setattr(module, "changed", lambda _: FOUND)


def why(*words: str) -> Result:
    return CliRunner().invoke(slimbake, ["why", *words])


def test_what_became_of_a_folder_is_said_rule_by_rule() -> None:
    lines = why("thing").stdout.splitlines()
    assert lines[0] == "thing: 2 files: 1 stubs, 1 symbols"
    assert "symbols, in api" in lines
    assert "  thing/a.pyi  5 B  thing 1" in lines
    assert "  thing/lib.so  9 B -> 7 B  thing 1" in lines
    assert [each["path"] for each in json.loads(why("thing.lib", "--json").stdout)["api"]] == [
        "thing/lib.so"
    ]


def test_what_nothing_touched_is_an_end_with_3_and_a_lead() -> None:
    done = why("thing.liv")
    assert isinstance(done.exception, NothingSelected)
    assert done.exception.hint == "did you mean 'thing.lib.so'?"
    assert why().stdout.startswith("stubs: ") or "stubs: " in why().stdout
