"""The zipapps that run in containers: what is in them, and that a Python runs them."""

import ast
import importlib
import io
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.ran import ran
from tests.unit.programs import program, written

from slimbake.inside import FOLDER, SHARED, Kind, from_stdin, with_check_pyz, zipapp
from slimbake.render import MARK

KINDS: tuple[Kind, ...] = ("make", "check")
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], list[Kind]]]:
    """The zipapps that differ after an edit of one module."""
    before = {kind: zipapp(kind) for kind in KINDS}
    shutil.copytree(FOLDER, tmp_path / "inside")
    monkeypatch.setattr("slimbake.inside.FOLDER", tmp_path / "inside")

    def edit(module: str) -> list[Kind]:
        with (tmp_path / "inside" / module).open("a") as file:
            file.write("# edited\n")
        zipapp.cache_clear()
        return [kind for kind in KINDS if zipapp(kind) != before[kind]]

    yield edit
    zipapp.cache_clear()


@every_kind
def test_a_zipapp_is_stored_sorted_and_has_no_time_of_its_own(kind: Kind) -> None:
    with zipfile.ZipFile(io.BytesIO(zipapp(kind))) as archive:
        members = archive.infolist()
    assert members
    assert [member.filename for member in members] == sorted(m.filename for m in members)
    for each in members:
        assert (each.compress_type, each.create_system) == (zipfile.ZIP_STORED, 3)
        assert each.date_time == (1980, 1, 1, 0, 0, 0)
        assert stat.filemode(each.external_attr >> 16) == "-rw-r--r--"


@pytest.mark.parametrize("kind", [*KINDS, "export"])
def test_a_zipapp_says_in_its_first_line_that_slimbake_generates_it(kind: str) -> None:
    first, _, rest = program(kind).partition(b"\n")
    assert MARK in first.decode() and rest.startswith(b"PK")


@every_kind
def test_a_zipapp_has_exactly_the_modules_that_its_programs_import(kind: Kind) -> None:
    with zipfile.ZipFile(io.BytesIO(zipapp(kind))) as archive:
        names = [name for name in archive.namelist() if name.startswith("slimbake/inside/")]
    there = {Path(name).relative_to("slimbake/inside") for name in names}
    start = [path.relative_to(FOLDER) for path in (FOLDER / kind).glob("*.py")]
    assert there == closure(start) | {Path("__init__.py")}
    assert SHARED[kind] == tuple(sorted(SHARED[kind]))


def closure(modules: list[Path]) -> set[Path]:
    """These modules of the package and all that they import, as paths below it."""
    found: set[Path] = set()
    while modules:
        path = modules.pop()
        if path not in found:
            found.add(path)
            modules += imported(path)
    return found


def imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse((FOLDER / path).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = (path.parent, path.parent.parent)[node.level - 1]
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                *above, module = name.split(".")
                yield from (folder.joinpath(*above, "__init__.py"),) if above else ()
                yield folder.joinpath(*above, f"{module}.py")
    if path.name == "__init__.py" and path.parent.name in KINDS:
        yield Path("step.py")
        for place in importlib.import_module(f"slimbake.inside.{path.parent}").PROGRAMS.values():
            module = place.partition(":")[0]
            folder = Path() if module.startswith("..") else path.parent
            yield folder / f"{module.strip('.')}.py"


@every_kind
def test_every_program_is_a_function_of_its_module(kind: Kind) -> None:
    package = f"slimbake.inside.{kind}"
    programs = importlib.import_module(package).PROGRAMS
    assert programs
    for place in programs.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module, package), function))


@pytest.mark.parametrize("kind", [*KINDS, "export"])
def test_a_zipapp_lists_its_programs(kind: str, tmp_path: Path) -> None:
    done = ran([sys.executable, "-IS", written(kind, tmp_path), "none"], cwd=tmp_path)
    programs = ["export", "reference"]
    if kind != "export":
        programs = [*importlib.import_module(f"slimbake.inside.{kind}").PROGRAMS]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"usage: python {tmp_path}/{kind}.pyz {{{','.join(programs)}}} ...\n"


@every_kind
def test_a_zipapp_runs_without_anything_of_slimbake_beside_it(kind: Kind, tmp_path: Path) -> None:
    step = {"make": "copy-code", "check": "start"}[kind]
    words = (sys.executable, "-IS", str(written(kind, tmp_path)), step, "/none", "/none")
    done = ran(words, input="", cwd=tmp_path)
    assert done.returncode
    assert "ImportError" not in done.stderr and "ModuleNotFoundError" not in done.stderr
    assert f"{tmp_path}/{kind}.pyz/slimbake/inside/{kind}/" in done.stderr


@pytest.mark.parametrize(
    ("module", "kinds"),
    [
        ("make/packages.py", ["make"]),
        ("debs.py", ["make"]),
        ("check/smoke.py", ["check"]),
        ("check/agreement.py", ["check"]),
        ("fates.py", ["make"]),
        ("names.py", ["make", "check"]),
        ("step.py", ["make", "check"]),
        ("__init__.py", []),
    ],
)
def test_an_edit_changes_only_the_zipapps_that_have_the_module(
    module: str, kinds: list[Kind], edited: Callable[[str], list[Kind]]
) -> None:
    assert edited(module) == kinds


def test_a_check_arrives_on_standard_input_and_reads_what_follows() -> None:
    done = ran([sys.executable, *from_stdin("verify")], input=with_check_pyz("no object"))
    assert done.stderr.splitlines()[-1].startswith("json.decoder.JSONDecodeError: ")
