"""Packages' own tests: what the plugin records, and what counts as a difference."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from bench import suites
from bench.suites import Run, Suite, compared, differing
from tests.ran import ran
from tools.docs import suites as page
from tools.docs.inputs import Inputs

PLUGINS = Path(suites.__file__).parent
TESTS = """\
import pytest

def test_good(): pass
def test_bad(): assert False
def test_skipped(): pytest.skip("here")
@pytest.mark.xfail
def test_known(): assert False
@pytest.mark.xfail
def test_repaired(): pass
@pytest.fixture
def broken(): raise ValueError
def test_broken(broken): pass
@pytest.fixture
def unclean():
    yield
    raise ValueError
def test_unclean(unclean): pass
@pytest.mark.parametrize("value", [object()], ids=repr)
def test_address(value): pass
"""
EXPECTED = {
    "test_it.py::test_good": "passed",
    "test_it.py::test_bad": "failed",
    "test_it.py::test_skipped": "skipped",
    "test_it.py::test_known": "xfailed",
    "test_it.py::test_repaired": "xpassed",
    "test_it.py::test_broken": "error",
    "test_it.py::test_unclean": "error",
    "test_wrong.py": "not collected",
}


def outcomes(folder: Path, *words: str, every: int = 1) -> dict[str, str]:
    site = folder / "site-packages"
    site.mkdir(exist_ok=True)
    (site / "test_it.py").write_text(TESTS)
    (site / "test_wrong.py").write_text("import nothing_of_the_kind\n")
    file = folder / "outcomes.json"
    around = {name: said for name, said in os.environ.items() if not name.startswith("PYTEST")}
    around |= {"PYTHONPATH": str(PLUGINS), "OUTCOMES": str(file), "EVERY": str(every)}
    pytest_words = ("-m", "pytest", "-p", "outcomes", "-p", "no:cacheprovider", "--rootdir=/")
    more = ("--continue-on-collection-errors", f"--confcutdir={folder}", "-c", "/dev/null", *words)
    done = ran([sys.executable, *pytest_words, *more, str(site)], cwd=folder, env=around)
    assert file.is_file(), done.stdout + done.stderr
    return dict(json.loads(file.read_text()))


@pytest.mark.parametrize("words", [("-n0",), ("-n2",)], ids=["one process", "two workers"])
def test_the_outcome_of_each_test_is_recorded(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert outcomes(tmp_path, *words) == EXPECTED


def test_one_test_in_so_many_is_the_same_in_every_run(tmp_path: Path) -> None:
    some = outcomes(tmp_path, "-n0", every=2)
    assert some == outcomes(tmp_path, "-n0", every=2)
    assert some.items() < EXPECTED.items() and len(some) > 1


def test_what_is_not_there_differs() -> None:
    before = {"a": "passed", "b": "failed", "c": "passed"}
    after = {"a": "passed", "b": "passed", "d": "passed"}
    assert differing(before, after) == {
        "b": ["failed", "passed"],
        "c": ["passed", "not there"],
        "d": ["not there", "passed"],
    }


def test_what_is_equal_when_it_runs_again_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(
        [
            {"x/t.py::a": "passed", "x/t.py::b": "passed", "x/u.py::c": "passed"},
            {"x/t.py::a": "failed", "x/t.py::b": "failed", "x/u.py::c": "passed"},
            # again; what was not selected before does not count
            {"x/t.py::a": "passed", "x/t.py::b": "passed", "x/t.py::other": "passed"},
            {"x/t.py::a": "passed", "x/t.py::b": "failed"},
        ]
    )
    asked: list[tuple[str, Sequence[str]]] = []

    def run(image: str, arguments: Sequence[str], every: int) -> Run:
        asked.append((image, arguments))
        return Run(next(answers), 1.0)

    monkeypatch.setattr(suites, "run", run)
    image_of = {"optimize: false": "bare", "slimbake": "ours"}
    found = compared(Suite("x", every=1, marks="not slow"), image_of, 2, 1)
    selected = ["--pyargs", "x", "-m", "not slow", "-n", "2"]
    files = [f"{suites.SITE}/x/t.py"]
    assert asked == [("bare", selected), ("ours", selected), ("bare", files), ("ours", files)]
    assert found["differences"] == {"x/t.py::b": ["passed", "failed"]}
    assert (found["tests"], found["differed_once"]) == (3, 1)
    assert found["outcomes"] == {"passed": 3}


def shown(tests: int, differences: Mapping[str, Sequence[str]]) -> str:
    of = {"version": "1", "every": 2, "tests": tests, "outcomes": {"passed": tests}}
    of |= {"differed_once": 1, "differences": differences}
    return page.figures(Inputs(writeup={}, services=(), suites={"packages": {"numpy": of}}))


def test_the_page_says_whether_no_test_differs() -> None:
    assert "| numpy | 1 | 60,000, one in 2 | 60,000 | 1 | 0 |" in shown(60_000, {})
    assert "**true**" in shown(60_000, {})
    assert "**not reached**" in shown(40_000, {})
    assert "**not reached**" in shown(60_000, {"x": ["passed", "failed"]})
