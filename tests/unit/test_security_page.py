"""docs/security.md names a test for each claim: each of them exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    set(re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs/security.md").read_text()))
)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_that_the_page_names_is_there(file: str, name: str) -> None:
    found = ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
    assert name in {each.name for each in found if isinstance(each, ast.FunctionDef)}


def test_every_threat_has_one() -> None:
    text = (ROOT / "docs/security.md").read_text("utf-8")
    rows = text.partition("| threat |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row] == []
