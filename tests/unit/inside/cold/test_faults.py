"""What goes wrong with a cold store, and programs that change how Python imports."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.unit.inside.cold.images import Image, image

from slimbake.inside.check.inventory import cold_digests
from slimbake.inside.cold.layout import HEAD, VERSION, Store, StoreError
from slimbake.inside.step import StepError

THING = {
    "thing/__init__.py": b"",
    "thing/late.py": b"value = 1\n",
    "thing/sub/__init__.py": b"value = 2\n",
}


@pytest.fixture
def there(tmp_path: Path) -> Image:
    return image(tmp_path, {"thing": THING}, warm=["thing/__init__.py source"])


def refused(there: Image, module: str = "thing.late") -> str:
    done = there.start("-c", f"import thing; import {module}")
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


# --- the store


@pytest.mark.parametrize("left", [0, 60, 200, -1])
def test_a_truncated_store_is_an_import_error_that_names_it(there: Image, left: int) -> None:
    there.store.write_bytes(there.store.read_bytes()[:left])
    words = refused(there)
    assert words.startswith(f"_slimbake_cold.layout.StoreError: the cold store {there.store} ")
    assert words.endswith("pull the image again, or rebuild it without cache")


def test_any_byte_that_is_altered_is_found_and_no_wrong_source_is_ever_run(there: Image) -> None:
    whole = there.store.read_bytes()
    before = cold_digests(there.root)
    assert {"thing/late.py", "thing/sub/__init__.py"} == set(before)
    for number in range(len(whole)):
        if not whole[number : number + 1].isspace() or number > HEAD:  # the head ends in blanks
            altered = bytearray(whole)
            altered[number] ^= 1
            there.store.write_bytes(altered)
            with pytest.raises(StepError, match=re.escape(str(there.store))):
                cold_digests(there.root)


def test_an_altered_block_is_an_import_error_that_names_the_store(there: Image) -> None:
    whole = bytearray(there.store.read_bytes())
    whole[-40] ^= 1
    there.store.write_bytes(whole)
    assert f"the cold store {there.store} is altered in block 0" in refused(there)
    assert there.says("import thing") == ""


def test_what_is_no_store_is_named(there: Image) -> None:
    there.store.write_bytes(b"x" * 500)
    assert "is not a cold store" in refused(there)
    with pytest.raises(StoreError, match=r"none\.cold cannot be read \(No such file"):
        Store(str(there.root / "none.cold"))


def test_a_store_of_another_version_is_named(there: Image) -> None:
    head = f"slimbake-cold {VERSION}".encode()
    there.store.write_bytes(there.store.read_bytes().replace(head, b"slimbake-cold 9"))
    assert f"has the version 9, not {VERSION}" in refused(there)


def test_a_package_of_a_broken_store_is_no_empty_one(tmp_path: Path) -> None:
    there = image(tmp_path, {"thing": THING}, warm=["thing/__init__.py"])
    there.store.write_bytes(b"")
    done = there.start("-c", "import thing")
    assert f"StoreError: the cold store {there.store} " in done.stderr


def test_a_start_goes_on_where_a_broken_store_is_not_asked(there: Image) -> None:
    there.store.write_bytes(b"")
    assert there.says("import thing, json; print('on')") == "on"


# --- other finders


@pytest.mark.parametrize(
    "change",
    [
        "sys.path_hooks.clear()",
        "sys.path_hooks.clear(); sys.path_importer_cache.clear()",
        "sys.path_hooks[:] = [FileFinder.path_hook(*LOADERS)]; sys.path_importer_cache.clear()",
        "sys.path_hooks.insert(0, FileFinder.path_hook(*LOADERS)); sys.path_importer_cache.clear()",
        "sys.path_hooks.pop(0)",
        "sys.path_importer_cache.clear()",
        "importlib.invalidate_caches()",
    ],
)
def test_a_package_that_changes_the_path_hooks_loses_no_cold_module(
    there: Image, change: str
) -> None:
    text = f"""\
import importlib, sys
from importlib.machinery import *
LOADERS = (ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, ['.py'])
import thing
{change}
import thing.late, thing.sub
print(thing.late.value, thing.sub.value)
"""
    assert there.says(text) == "1 2"


def test_a_test_that_replaces_functions_of_os_imports_what_is_cold(there: Image) -> None:
    text = """\
import os, thing
from unittest import mock
def gone(*_, **__): raise FileNotFoundError
for name in ("stat", "open", "pread", "listdir", "close"):
    setattr(os, name, gone)
with mock.patch("os.path.isdir", return_value=False), mock.patch("os.path.exists", gone):
    import thing.late, thing.sub
print(thing.late.value, thing.sub.value)
"""
    assert there.says(text) == "1 2"


def test_the_finder_of_another_package_finds_what_is_on_disk_and_its_loader_loads_what_is_cold(
    there: Image,
) -> None:
    # As beartype puts it there: before Python's own, which it knows by its name.
    text = """\
import sys
from importlib.machinery import *
class Loader(SourceFileLoader):
    def source_to_code(self, data, path, **options):
        return super().source_to_code(bytes(data).replace(b'value = 1', b'value = 11'), path)
python = FileFinder.path_hook().__qualname__
at = [hook.__qualname__ for hook in sys.path_hooks].index(python)
sys.path_hooks.insert(at, FileFinder.path_hook((ExtensionFileLoader, EXTENSION_SUFFIXES), (Loader, ['.py'])))
sys.path_importer_cache.clear()
import thing, thing.late
print(type(thing.__loader__).__name__, type(thing.late.__loader__).__name__, thing.late.value)
print(isinstance(thing.late.__loader__, Loader))
"""
    assert there.says(text) == "Loader Loader 11\nTrue"


def test_a_finder_that_looks_for_files_itself_keeps_its_distribution_on_disk(
    tmp_path: Path,
) -> None:
    finder = b"""\
import importlib.util, pathlib, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.startswith('alias'):
            file = pathlib.Path(__file__).parent / 'own' / (name[6:] or '__init__')
            return importlib.util.spec_from_file_location(name, f'{file}.py')
sys.meta_path.append(Finder)
"""
    files = {
        "finder.py": finder,
        "own/__init__.py": b"__path__ = []",
        "own/impl.py": b"value = 3\n",
    }
    there = image(tmp_path, {"own": files, "thing": THING})
    assert there.says("import finder, alias.impl; print(alias.impl.value)") == "3"
    assert (there.site / "own/impl.py").exists() and not (there.site / "thing/late.py").exists()


def test_a_program_that_a_package_hands_to_another_python_stays_on_disk(tmp_path: Path) -> None:
    starts = """\
import pathlib, runpy, subprocess, sys
from importlib.util import module_from_spec, spec_from_file_location
here = pathlib.Path(__file__).parent
def out(name):
    return subprocess.check_output([sys.executable, here / name], text=True)
def run():
    print(out('guarded.py') + out('calls.py') + out('imports.py'), end='')
    print((here / 'defines.py').read_text(), runpy.run_path(here / 'defines.py')['value'])
    spec = spec_from_file_location('by_path', here / 'defines.py')
    spec.loader.exec_module(module := module_from_spec(spec))
    print(module.value, module.__file__ == str(here / 'defines.py'))
"""
    files = {
        "tool/__init__.py": b"",
        "tool/starts.py": starts.encode(),
        "tool/guarded.py": b"def go(): print('guarded')\nif __name__ == '__main__':\n    go()\n",
        "tool/calls.py": b"x = 1\ntry:\n    print('calls')\nfinally:\n    x = 2\n",
        "tool/imports.py": b"import calls\n",
        "tool/defines.py": b"value = 4\nclass A:\n    print\n",
        "tool/unnamed.py": b"print('unnamed')\n",
    }
    there = image(tmp_path, {"tool": files})
    kept = {each.name for each in (there.site / "tool").glob("*.py")}
    assert kept == {"guarded.py", "calls.py", "imports.py"}
    text = files["tool/defines.py"].decode()
    assert there.says("import tool.starts; tool.starts.run()") == (
        f"guarded\ncalls\ncalls\n{text} 4\n4 True"
    )


def test_modules_that_a_pth_imports_stay_on_disk(tmp_path: Path) -> None:
    files = {"early.py": b"import thing.late\n", "a.pth": b"import early\n"}
    there = image(tmp_path, {"early": files, "thing": THING})
    assert (there.site / "early.py").exists()
    assert there.says("import sys; print('thing.late' in sys.modules)") == "True"


# --- layers


def test_two_layers_share_a_namespace_package(tmp_path: Path) -> None:
    below = {"one": {"space/one/__init__.py": b"value = 1\n", "space/one/late.py": b"value = 2\n"}}
    above = {"two": {"space/two/__init__.py": b"value = 3\n"}}
    there = image(tmp_path, below, above)
    assert len(list(there.root.glob("cold/*.cold"))) == 2
    text = """\
import pkgutil, space, space.one.late, space.two
print(space.one.value, space.one.late.value, space.two.value, type(space.__path__).__name__)
print([(m.name, m.ispkg) for m in pkgutil.iter_modules(space.__path__)])
"""
    assert there.says(text).splitlines() == [
        "1 2 3 _NamespacePath",
        "[('one', True), ('two', True)]",
    ]


def test_another_version_on_top_is_mixed_with_no_cold_module(tmp_path: Path) -> None:
    there = image(tmp_path, {"thing": THING})
    shutil.rmtree(there.site / "thing-1.dist-info")
    (there.site / "thing-2.dist-info").mkdir()
    (there.site / "thing/__init__.py").write_text("version = 2\n")
    assert there.says("import thing; print(thing.version)") == "2"
    assert refused(there).endswith("No module named 'thing.late'")


def test_a_start_without_site_has_none_of_the_packages(there: Image) -> None:
    assert "No module named 'thing'" in there.start("-S", "-c", "import thing").stderr
