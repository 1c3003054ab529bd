"""The archive of the runtime's library, as a real Python reads it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from slimbake.inside.make import runtime


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "lib/python3"
    files = {"aifc.py": "value = 1\n", "xml/__init__.py": "", "xml/dom/__init__.py": "value = 2\n"}
    for name, text in {**files, "json/__init__.py": "", "os.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_what_no_start_needs_is_archived_and_imported_from_there(library: Path) -> None:
    path = str(library.parent / "python3.zip")
    runtime.archive_library(library, path)
    left = {file.relative_to(library).as_posix() for file in library.rglob("*") if file.is_file()}
    assert left == {"json/__init__.py", "os.py"}
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [
            *("aifc.py", "xml/__init__.py", "xml/__init__.pyc"),
            *("xml/dom/__init__.py", "xml/dom/__init__.pyc"),
        ]
    text = "import inspect, aifc, xml.dom as d; print(aifc.value, d.value, inspect.getsource(d))"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {text}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "1 2 value = 2\n\n", done.stderr


def test_the_same_library_gives_the_same_archive(library: Path, tmp_path: Path) -> None:
    (library / "xml").rename(tmp_path / "xml")
    (library / "aifc.py").touch()
    archive = library.parent / "python3.zip"
    runtime.archive_library(library, str(archive))
    first = archive.read_bytes()
    (library / "aifc.py").write_text("value = 1\n")
    runtime.archive_library(library, str(archive))
    assert archive.read_bytes() == first


def test_a_package_with_data_stays_in_its_folder(library: Path) -> None:
    (library / "xml/mypy.ini").touch()
    path = library.parent / "python3.zip"
    runtime.archive_library(library, str(path))
    assert zipfile.ZipFile(path).namelist() == ["aifc.py"]
    assert (library / "xml/mypy.ini").exists() and (library / "xml/dom/__init__.py").exists()


def test_distutils_is_archived_without_its_data_since_programs_import_it(library: Path) -> None:
    left = {name for names in runtime.LEFT_BEHIND.values() for name in names}
    for name in ("__init__.py", "util.py", "README", "command/command_template"):
        file = library / "distutils" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.name not in left:
            file.touch()
    assert runtime.archived(library, library.rglob("*")) == {"aifc", "distutils", "xml"}


def test_nothing_is_both_archived_and_left_behind() -> None:
    left = {pattern for patterns in runtime.LEFT_BEHIND.values() for pattern in patterns}
    assert not {*runtime.COLD, *runtime.PACKED} & {name.removesuffix(".py") for name in left}
    assert not {*runtime.COLD} & {*runtime.PACKED}
