"""Every command that prints a table has --wide, --json and --markdown, and each does what it says."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner, _NamedTextIOWrapper
from tests.unit.cli.test_help import EVERY

import slimbake
from slimbake.cli import slimbake as program
from slimbake.externals.doctor import Diagnosis, DoctorRow

ROOT = Path(__file__).parents[3]
SOURCES = Path(slimbake.__file__).parent
TREES = {
    path.relative_to(SOURCES).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in SOURCES.rglob("*.py")
}
# `init` has tables in what it says beside its result, which is a file.
NO_RESULT = {"adopt/init.py"}
LAYOUT = {"Layout", "Layout | None"}
OFFLINE = ("plan", "layers", "fingerprint", "doctor")


def takes_layout(tree: ast.AST) -> Iterator[str]:
    """The functions that lay out tables."""
    for each in ast.walk(tree):
        if isinstance(each, ast.FunctionDef):
            given = (*each.args.args, *each.args.kwonlyargs)
            if any(ast.unparse(one.annotation or one) in LAYOUT for one in given):
                yield each.name


PUBLIC = {name for tree in TREES.values() for name in takes_layout(tree) if name[0] != "_"}


def laid_out(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Line and function of each call that lays out a table, and whether it says how."""
    known = (PUBLIC | {*takes_layout(tree)}) - {"command", "print_text", "stored_images"}
    for each in ast.walk(tree):
        if isinstance(each, ast.Call):
            name = getattr(each.func, "id", getattr(each.func, "attr", ""))
            if name in known:
                given = (*each.args, *(keyword.value for keyword in each.keywords))
                yield each.lineno, name, any("layout" in ast.dump(one) for one in given)


def printing() -> Mapping[str, str]:
    """The commands that print tables, each with its module."""
    found = {}
    for name in EVERY:
        module = f"cli/{name.replace(' ', '/')}.py"
        if module in TREES and any(laid_out(TREES[module])):
            found[name] = module
    return found


PRINTING = printing()


def test_the_commands_that_print_tables_are_known() -> None:
    assert {*OFFLINE, "bake", "sizes", "parity"} <= PRINTING.keys()


@pytest.mark.parametrize("name", PRINTING)
def test_a_command_that_prints_tables_has_all_three_options(name: str) -> None:
    options = {option for each in EVERY[name].params for option in each.opts}
    assert options >= {"--wide", "--json", "--markdown"}


def test_every_table_is_laid_out_as_the_options_say() -> None:
    assert not [
        f"{path}:{line}: {name}"
        for path, tree in TREES.items()
        if path not in NO_RESULT
        for line, name, said in laid_out(tree)
        if not said
    ]


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 columns."""
    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    row = DoctorRow("engine", "ok", f"Docker 29.0.1, {'of a long name ' * 9}", "")
    module = import_module("slimbake.cli.doctor")
    monkeypatch.setattr(module, "doctor", lambda *_: Diagnosis((row,)))


def printed(name: str, *options: str) -> str:
    # the planner takes seconds for the example
    folder = ROOT / "tests/golden/cases/found-layers" if name == "layers" else ROOT
    done = CliRunner().invoke(program, [name, "-f", str(folder / "services.yaml"), *options])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.parametrize("name", OFFLINE)
def test_each_option_does_what_it_says(name: str) -> None:
    folded, wide, marked = (printed(name, *words) for words in ((), ("--wide",), ("--markdown",)))
    assert max(map(len, folded.splitlines())) <= 80
    assert len(wide.splitlines()) <= len(folded.splitlines())
    assert " | " not in folded
    assert json.loads(printed(name, "--json"))
    rows = [line for line in marked.splitlines() if line.startswith("| ")]
    at = next(number for number, line in enumerate(rows) if line.startswith("| --- "))
    assert {line.replace("\\|", "").count("|") for line in rows[at - 1 : at + 2]} == {
        rows[at].count("|")
    }
