"""What a start compiles itself, and the line that a manifest needs then."""

import py_compile
from pathlib import Path

import pytest

from slimbake.inside.check.bytecode import advice, uncompiled


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two modules, one of them with bytecode, and one that is none."""
    for name in ("done", "late"):
        (tmp_path / f"{name}.py").write_text("x = 1\n")
    (tmp_path / "old.py").write_text("print 1\n")
    py_compile.compile(str(tmp_path / "done.py"))
    return tmp_path


def files(site: Path, *names: str) -> list[str]:
    return [str(site / name) for name in names]


def test_modules_without_bytecode_are_named_with_the_time_that_they_take(site: Path) -> None:
    found = uncompiled(files(site, "done.py", "late.py"), site)
    assert found.keys() == {"late.py"} and found["late.py"] > 0


def test_what_cannot_be_compiled_or_is_no_source_is_left_out(site: Path) -> None:
    names = ("done.py", "old.py", "gone.py", "lib.so")
    assert uncompiled(files(site, *names), site) == {}


def test_an_image_without_any_bytecode_is_as_its_manifest_asks(site: Path) -> None:
    assert uncompiled(files(site, "late.py"), site) == {}


def test_little_needs_no_advice() -> None:
    assert [*advice({"a/b.py": 0.03}, 1.0)] == []
    assert [*advice({}, 1.0)] == []


def test_the_line_to_add_names_folders_until_little_is_left() -> None:
    seconds = {"big/models/a.py": 0.06, "big/models/b.py": 0.06, "top.py": 0.02, "c/d.py": 0.01}
    assert [*advice(seconds, 1.0)] == [
        "slimbake: warning: a start spends 15% of its processor time on modules without bytecode;"
        ' with this line the build compiles them: bytecode: ["big/models/*.py"]'
    ]


def test_a_module_beside_packages_is_a_glob_of_its_own() -> None:
    (line,) = advice({"top.py": 0.5}, 1.0)
    assert line.endswith('bytecode: ["*.py"]')
