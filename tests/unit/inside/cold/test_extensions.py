"""Extension modules that went cold are loaded from memory, and are as from disk to all who ask.

A real one: that of MarkupSafe, which Jinja brings.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from tests.unit.inside.cold.images import Image, image

from slimbake.inside.cold.select import LARGEST

INSTALLED = {
    str(each): each.locate().read_bytes()  # type: ignore[attr-defined]
    for each in importlib.metadata.files("markupsafe") or ()
    if each.suffix in (".py", ".so")
}
SPEEDUPS = next(name for name in INSTALLED if name.endswith(".so"))
WARM = ("markupsafe/__init__.py", "markupsafe/_native.py")
USE = """\
import markupsafe._speedups as it
print(it._escape_inner('<a>'), it.__name__, it.__file__ == it.__spec__.origin, it.__file__)
"""


def made(root: Path, warm: tuple[str, ...] = (), **more: bytes) -> Image:
    """An image of MarkupSafe and further files of it."""
    files = INSTALLED | {f"markupsafe/{name}": content for name, content in more.items()}
    return image(root, {"markupsafe": files}, warm=(*WARM, *warm))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return made(tmp_path_factory.mktemp("cold"))


def test_it_is_imported_from_the_store_and_stands_at_its_path(there: Image) -> None:
    path = there.site / SPEEDUPS
    assert not path.exists()
    assert there.says(USE) == f"&lt;a&gt; markupsafe._speedups True {path}"


def test_it_answers_what_one_on_disk_answers(there: Image, tmp_path: Path) -> None:
    text = """\
import ctypes, hashlib, importlib, importlib.machinery as m, importlib.util as u, os, pkgutil, sys, markupsafe
spec = u.find_spec('markupsafe._speedups')
print(sorted(each.name for each in pkgutil.iter_modules(markupsafe.__path__)))
print(isinstance(spec.loader, m.ExtensionFileLoader), spec.cached, spec.loader.get_code(''),
    spec.loader.is_package('markupsafe._speedups'))
print(hashlib.sha256(open(spec.origin, 'rb').read()).hexdigest(), os.path.getsize(spec.origin),
    os.path.isfile(spec.origin), sorted(os.listdir(markupsafe.__path__[0]))[-1])
library = ctypes.CDLL(spec.origin)
print(library.PyInit__speedups is not None)
first = importlib.import_module('markupsafe._speedups')
del sys.modules['markupsafe._speedups']
again = importlib.import_module('markupsafe._speedups')
print(first is again, again._escape_inner('&'), len(os.listdir('/proc/self/fd')))
child = os.fork()
if not child:
    os._exit(first._escape_inner('<') == '&lt;')
print(os.waitpid(child, 0)[1] >> 8)
"""
    disk = image(tmp_path)
    disk.install(there.root.parent.glob("wheels-0/*.whl"))
    assert (disk.site / SPEEDUPS).exists()
    assert there.says(text) == disk.says(text)


@pytest.mark.parametrize("before", ["import ctypes\n", ""])
def test_a_library_is_loaded_by_its_path_whenever_ctypes_came(there: Image, before: str) -> None:
    text = "import markupsafe\nimport ctypes\nprint(bool(ctypes.CDLL({!r}).PyInit__speedups))"
    path = str(there.site / SPEEDUPS)
    assert there.says(before + text.format(path)) == "True"
    done = there.start("-c", before + text.format(f"{path}x"))
    assert "cannot open shared object file" in done.stderr


NO_MEMORY = """\
import os, tempfile
def none(*_): raise PermissionError(1, 'not allowed')
os.memfd_create = none
"""


def test_where_no_file_may_be_in_memory_a_temporary_one_is_loaded_and_removed(
    there: Image, tmp_path: Path
) -> None:
    text = f"{NO_MEMORY}tempfile.tempdir = {str(tmp_path)!r}\n{USE}"
    assert there.says(text).startswith("&lt;a&gt; ")
    assert list(tmp_path.iterdir()) == []


def test_where_it_can_be_loaded_from_nowhere_the_error_says_so(there: Image) -> None:
    done = there.start("-c", f"{NO_MEMORY}tempfile.tempdir = '/none'\n{USE}")
    assert "ImportError: no place from which to load the cold " in done.stderr
    assert SPEEDUPS in done.stderr


def test_no_name_is_used_again_after_a_module_that_failed(there: Image) -> None:
    """The dynamic loader would take the next library for the one that it has by that name."""
    text = f"""\
import importlib.util
from _slimbake_cold import serve
importlib.util.find_spec('markupsafe')
names = []
def fails(at):
    names.append(at)
    raise ImportError('of its own')
for _ in range(2):
    try:
        serve.load({str(there.site / SPEEDUPS)!r}, fails)
    except ImportError as error:
        assert str(error) == 'of its own'
print(len(names), len(set(names)))
"""
    assert there.says(text) == "2 2"


CODE = INSTALLED[SPEEDUPS]


@pytest.mark.parametrize(
    ("warm", "more"),
    [
        pytest.param(("markupsafe/_speedups.so",), {}, id="a start imports it"),
        pytest.param((), {"_speedups.py": b""}, id="a module of its name"),
        pytest.param((), {"_speedups/__init__.py": b""}, id="a package of its name"),
        pytest.param(
            (),
            {SPEEDUPS.rpartition("/")[2]: CODE + b"\0dladdr\0"},
            id="it asks for its own path",
        ),
        pytest.param(
            (),
            {SPEEDUPS.rpartition("/")[2]: CODE.replace(b"libc.so.6", b"libq.so.6")},
            id="a library that lies in no standard folder",
        ),
        pytest.param(
            (),
            {SPEEDUPS.rpartition("/")[2]: CODE.replace(b"PyInit_", b"PyInat_")},
            id="no extension module",
        ),
        pytest.param(
            (),
            {SPEEDUPS.rpartition("/")[2]: CODE + bytes(LARGEST)},
            id="so large that its first import would be slow",
        ),
        pytest.param(
            (),
            {"find.py": b"from importlib.machinery import ExtensionFileLoader\n"},
            id="the package loads such files itself",
        ),
    ],
)
def test_it_stays_on_disk(warm: tuple[str, ...], more: Mapping[str, bytes], tmp_path: Path) -> None:
    there = made(tmp_path, warm, **more)
    assert (there.site / SPEEDUPS).exists()


def test_one_for_another_python_stays(tmp_path: Path) -> None:
    other = "_speedups.cpython-27-none.so"
    assert f".{other.partition('.')[2]}" not in EXTENSION_SUFFIXES
    there = made(tmp_path, **{other: CODE})
    assert (there.site / "markupsafe" / other).exists()
    assert not (there.site / SPEEDUPS).exists()
