"""Plain Python: what differs or fails is a fault, and the lines of a traceback are those of files."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bench import plain

SAME: dict[str, Any] = {"canvas": 100, "plugins": ["a", "b"]}


@pytest.mark.parametrize(
    ("before", "after", "code", "verdict"),
    [
        (SAME, SAME, 0, "equal"),
        (SAME, {**SAME, "plugins": ["a"]}, 1, "differs"),
        ({"canvas": "ImportError: x"}, {"canvas": "ImportError: x"}, 1, "fails"),
    ],
)
def test_a_difference_and_a_failure_are_faults(
    before: dict[str, Any],
    after: dict[str, Any],
    code: int,
    verdict: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert plain.report(before, after) == code
    assert f"{verdict} |" in capsys.readouterr().out


@pytest.fixture
def uses() -> ModuleType:
    spec = importlib.util.spec_from_file_location("uses", plain.FLEET / "code" / "uses.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_traceback_that_shows_another_files_line_fails(uses: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "api.py"
    file.write_text("first\n    second()\n")
    text = (
        f'Traceback (most recent call last):\n  File "{file}", line 2, in f\n    second()\nError\n'
    )
    assert list(uses.shown(text)) == [f"{file}:2: second()"]
    with pytest.raises(AssertionError, match="is shown as third"):
        list(uses.shown(text.replace("second", "third")))
