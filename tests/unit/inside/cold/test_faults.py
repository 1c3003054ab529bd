"""What goes wrong with a cold store, and programs that change how Python imports."""

import re
from pathlib import Path

import pytest
from tests.unit.inside.cold.images import Image, image

from slimbake.inside.check.inventory import cold_digests
from slimbake.inside.cold.layout import BLOCK, HEAD, KEPT, Store
from slimbake.inside.cold.pack import STARTS, store_bytes
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


@pytest.mark.parametrize("left", [0, 40, 200, -1])
def test_a_truncated_store_is_an_import_error_that_names_it(there: Image, left: int) -> None:
    there.store.write_bytes(there.store.read_bytes()[:left])
    words = refused(there)
    assert words.startswith(f"_slimbake_cold.layout.StoreError: the cold store {there.store} is ")
    assert words.endswith("pull the image again, or rebuild it without cache")
    assert there.says("import thing") == ""


def test_any_byte_that_is_altered_is_found_and_no_wrong_source_is_ever_run(there: Image) -> None:
    whole = there.store.read_bytes()
    assert {"thing/late.py", "thing/sub/__init__.py"} == set(cold_digests(there.root))
    for number in range(len(whole)):
        if not whole[number : number + 1].isspace() or number > HEAD:  # the head ends in blanks
            altered = bytearray(whole)
            altered[number] ^= 1
            there.store.write_bytes(altered)
            with pytest.raises(StepError, match=re.escape(str(there.store))):
                cold_digests(there.root)


def test_a_package_of_a_broken_store_is_an_error_until_repaired(tmp_path: Path) -> None:
    there = image(tmp_path, {"thing": THING}, warm=["thing/__init__.py"])
    whole = there.store.read_bytes()
    there.store.write_bytes(b"")
    text = """import json, pathlib, sys
try:
    import thing.sub
except ImportError as error:
    print(type(error).__name__, error.path == sys.argv[1])
pathlib.Path(sys.argv[1]).write_bytes(bytes.fromhex(sys.argv[2]))
import thing.late
print(thing.late.value)
"""
    done = there.start("-c", text, str(there.store), whole.hex())
    assert done.stdout.splitlines() == ["StoreError True", "1"], done.stderr


def test_what_the_system_refuses_is_reported_as_it_is(there: Image) -> None:
    text = """import importlib.util, resource, thing
importlib.util.find_spec('thing.none')  # Python's own finder lists the folder
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    import thing.late
except OSError as error:
    print(error)
"""
    assert there.says(text).startswith("[Errno 24] Too many open files: ")
    store = there.store
    store.unlink()
    store.symlink_to("nowhere.cold")
    assert refused(there) == f"FileNotFoundError: [Errno 2] No such file or directory: '{store}'"


def test_few_blocks_stay_in_memory(tmp_path: Path) -> None:
    lines = b"".join(b"value_%d = %d\n" % (n, n) for n in range(6000))
    files = {f"big/m{n}.py": lines for n in range(20)} | {"big/large.py": lines * 4}
    path = tmp_path / "big.cold"
    path.write_bytes(store_bytes(files, dict.fromkeys(files, "big-1.dist-info")))
    store = Store(str(path))
    assert dict(store.contents()) == files
    assert len({row[1] for _, row in store.entries()}) > KEPT
    assert sum(map(len, store._blocks.values())) <= KEPT * BLOCK


@pytest.mark.parametrize("ignored", STARTS)
def test_either_file_installs_the_hook(there: Image, ignored: str) -> None:
    """Python 3.18 ignores the lines of `.pth` files; Python 3.14 knows no `.start` files."""
    (there.site / ignored).unlink()
    (entry,) = (each.read_text() for each in there.site.glob("0*"))
    program = f"pkgutil.resolve_name({entry.strip()!r})()" if ignored.endswith(".pth") else "0"
    assert (
        there.says(f"import pkgutil; {program}; import thing.late; print(thing.late.value)") == "1"
    )


def test_what_a_start_file_names_may_be_called_twice(there: Image) -> None:
    """Python 3.15 reads the folder of a venv twice, and has loaded `pkgutil` to resolve names."""
    text = """import pkgutil, sys, thing
for _ in range(2):
    pkgutil.resolve_name('_slimbake_cold.hook:install')()
import thing.late
print(thing.late.value, [m.name for m in pkgutil.iter_modules(thing.__path__)])
print(len(sys.meta_path) - len({*map(id, sys.meta_path)}), len(sys.path_hooks) - len({*sys.path_hooks}))
"""
    assert there.says(text).splitlines() == ["1 ['late', 'sub']", "0 0"]


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
def test_changed_path_hooks_lose_no_cold_module(there: Image, change: str) -> None:
    text = f"""\
import importlib, sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
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


def test_the_finder_of_another_package_finds_what_is_on_disk(there: Image) -> None:
    # As beartype puts it there: before Python's own, which it knows by its name.
    text = """\
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
class Loader(SourceFileLoader):
    pass
python = FileFinder.path_hook().__qualname__
at = [hook.__qualname__ for hook in sys.path_hooks].index(python)
sys.path_hooks.insert(at, FileFinder.path_hook((ExtensionFileLoader, EXTENSION_SUFFIXES), (Loader, ['.py'])))
sys.path_importer_cache.clear()
import thing, thing.late
print(type(thing.__loader__).__name__, type(thing.late.__loader__).__name__, thing.late.value)
"""
    assert there.says(text) == "Loader ColdLoader 1"


def test_a_finder_that_looks_for_files_keeps_its_distribution_on_disk(tmp_path: Path) -> None:
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
    starts = b"out = ['guarded.py', 'calls.py', 'imports.py', 'defines.py']\n"
    files = {
        "tool/__init__.py": b"",
        "tool/starts.py": starts,
        "tool/guarded.py": b"def go(): print('guarded')\nif __name__ == '__main__':\n    go()\n",
        "tool/calls.py": b"x = 1\ntry:\n    print('calls')\nfinally:\n    x = 2\n",
        "tool/imports.py": b"import calls\n",
        "tool/defines.py": b"value = 4\nclass A:\n    print\n",
        "tool/unnamed.py": b"print('unnamed')\n",
    }
    there = image(tmp_path, {"tool": files})
    kept = {each.name for each in (there.site / "tool").glob("*.py")}
    assert kept == {"__init__.py", "guarded.py", "calls.py", "imports.py"}


def test_modules_that_a_pth_or_start_file_imports_stay_on_disk(tmp_path: Path) -> None:
    files = {"early.py": b"import thing.late\n", "a.pth": b"import early\n"}
    later = {"later.py": b"def run(): ...\n", "later.start": b"later:run\n"}
    there = image(tmp_path, {"early": files, "later": later, "thing": THING})
    assert (there.site / "early.py").exists() and (there.site / "later.py").exists()
    assert there.says("import sys; print('thing.late' in sys.modules)") == "True"


def test_a_start_without_site_has_none_of_the_packages(there: Image) -> None:
    assert "No module named 'thing'" in there.start("-S", "-c", "import thing").stderr
