"""Cold modules are as they were on disk, to all that Python asks loaders for."""

import re
from pathlib import Path

import pytest
from tests.unit.inside.cold.images import Image, image, pythons

THING = {
    "thing/__init__.py": b'"""Things."""\nfrom thing import warm\n',
    "thing/warm.py": b"",
    "thing/late.py": b"import inspect\n\n\ndef late():\n    raise ValueError('late')  # why\n",
    "thing/sub/__init__.py": b"def here():\n    return __file__\n",
    "thing/sub/deep.py": b"class Deep:\n    '''A class.'''\n",
    "thing/sub/data.txt": b"data",
    "thing/licensed/__init__.py": b"name = 'licensed'\n",
    "thing/licensed/LICENSE": b"free",
    "thing/__main__.py": b"print('main', __name__)\n",
    "thing/not-a-name.py": b"",
    "thing/bare/within.py": b"here = __name__, __file__\n",  # in a folder that is no package
    "thing/listed/__init__.py": b"",
    "thing/listed/one.py": b"",
    "thing/listed/below/two.py": b"",
    "thing/opened.py": b"",
    "single.py": b"value = 1\n",
}
WARM = ("thing/__init__.py", "thing/warm.py source", "thing/opened.py text", "thing/listed/")


@pytest.fixture(scope="module", params=pythons(), ids=Path)
def there(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Image:
    root = tmp_path_factory.mktemp("cold")
    return image(root, {"thing": THING}, warm=WARM, python=request.param)


def test_on_disk_is_what_a_start_reads_and_what_no_import_finds(there: Image) -> None:
    left = {path.relative_to(there.site).as_posix() for path in there.site.rglob("thing/**/*.py")}
    assert left == {
        *("thing/warm.py", "thing/opened.py", "thing/listed/__init__.py", "thing/listed/one.py"),
        *("thing/not-a-name.py", "thing/__init__.py"),
    }
    assert (there.site / "single.py").exists()
    assert (there.site / "thing/licensed/LICENSE").exists()


@pytest.mark.parametrize("options", [(), ("-I",), ("-E",), ("-s",), ("-O",), ("-P",)])
def test_it_is_imported_as_from_disk(there: Image, options: tuple[str, ...]) -> None:
    text = """\
import importlib.util, single, sys, thing.late, thing.sub.deep as deep, thing.licensed
print(thing.late.__file__, deep.__spec__.origin == deep.__file__, deep.__package__)
print(thing.sub.__path__ == [thing.sub.__file__.rpartition('/')[0]], thing.licensed.name)
print(single.value, importlib.util.cache_from_source(single.__file__) == single.__spec__.cached)
loader = deep.__loader__
print(loader.is_package('thing.sub.deep'), loader.get_filename() == deep.__file__)
print(loader.get_data(deep.__file__)[:5], loader.get_code('thing.sub.deep').co_filename == deep.__file__)
"""
    assert there.says(text, *options).splitlines() == [
        f"{there.site}/thing/late.py True thing.sub",
        "True licensed",
        "1 True",
        "False True",
        "b'class' True",
    ]


def test_what_python_has_in_its_functions_stays_there(there: Image) -> None:
    text = """\
import builtins, io, os, posix, _io, pkgutil, sys
before = {name: dict(vars(module)) for name, module in sys.modules.items() if name != '__main__'}
import thing.late, inspect, importlib.resources
inspect.getsource(thing.late), list(pkgutil.iter_modules(thing.__path__))
for name in 'stat', 'lstat', 'scandir', 'listdir', 'open', 'access':
    assert getattr(os, name) is getattr(posix, name), name
    assert getattr(os, name).__module__ == 'posix', name
assert open is builtins.open is io.open is _io.open and io.open_code is _io.open_code
for each in _io.open, _io.open_code: assert type(each) is type(len), each
for name, had in before.items():
    for key, value in had.items():
        now = vars(sys.modules[name]).get(key)
        lazy = 'lazy' in type(value).__name__  # Python 3.15 puts in what is there, when it is used
        if not name.startswith('_slimbake') and callable(value) and not lazy:
            assert now is value, (name, key)
"""
    assert there.says(text) == ""


def test_an_init_is_also_a_module_of_its_own_package(there: Image) -> None:
    """As `from .__init__ import test` of statsmodels has it."""
    text = """\
import importlib, os, sys
for name in ('thing', 'thing.sub', 'single', 'thing.late'):
    try:
        found = importlib.import_module(name + '.__init__')
    except ImportError as error:
        print(error)
    else:
        print(os.path.relpath(found.__file__, sys.path[-1]), found.__name__, found.__package__)
        print(hasattr(found, '__path__'), found is sys.modules[name], found.__doc__)
"""
    assert there.says(text).splitlines() == [
        *("thing/__init__.py thing.__init__ thing", "False False Things."),
        *("thing/sub/__init__.py thing.sub.__init__ thing.sub", "False False None"),
        "No module named 'single.__init__'; 'single' is not a package",
        "No module named 'thing.late.__init__'; 'thing.late' is not a package",
    ]


def test_pkgutil_lists_cold_and_warm_modules(there: Image) -> None:
    text = """\
import thing, thing.late
import pkgutil
print(*(f'{m.name}{m.ispkg:d}' for m in pkgutil.walk_packages(thing.__path__, 'thing.')))
print([m.name for m in pkgutil.iter_modules([thing.__path__[0].rpartition('/')[0]])])
print(pkgutil.get_data('thing.sub', 'data.txt'), pkgutil.get_data('thing.sub', 'deep.py')[:5])
print(pkgutil.get_data('thing', 'late.py')[:6], pkgutil.resolve_name('thing.sub:here'))
"""
    first, second, third, fourth = there.says(text).splitlines()
    assert first.replace("thing.", "").split() == [
        *("__main__0", "late0", "licensed1", "listed1", "listed.one0", "not-a-name0", "opened0"),
        *("sub1", "sub.deep0", "warm0"),
    ]
    assert {"single", "thing"} <= set(eval(second))  # noqa: S307 - a list of names, as printed
    assert third == "b'data' b'class'"
    assert fourth.startswith("b'import' <function here")


def test_sources_and_tracebacks_are_there(there: Image) -> None:
    text = """\
import inspect, linecache, logging, traceback, thing.late, thing.sub.deep as deep
print(inspect.getsource(deep.Deep).splitlines()[1].strip(), inspect.getdoc(thing))
print(linecache.getline(thing.late.__file__, 5, vars(thing.late)).strip())
try:
    thing.late.late()
except ValueError:
    print([line for line in traceback.format_exc().splitlines() if 'why' in line][0].strip())
"""
    assert there.says(text).splitlines() == [
        "'''A class.''' Things.",
        "raise ValueError('late')  # why",
        "raise ValueError('late')  # why",
    ]


def test_resources_are_those_on_disk_and_the_cold_ones(there: Image) -> None:
    text = """\
import importlib.resources as r, importlib.resources.abc, os
for package in 'thing.sub', 'thing.listed', 'thing':
    files = r.files(package)
    print(sorted(e.name for e in files.iterdir() if '__' not in e.name), os.path.isdir(str(files)))
files = r.files('thing.sub')
cold, data = files / 'deep.py', files.joinpath('data.txt')
print(data.read_text(), data.is_file(), open(data).read(), type(files.parent).__name__)
print(cold.name, cold.is_file(), cold.is_dir(), cold.read_text()[:5], cold.open('rb').read(5))
print((files.parent / 'late.py').read_bytes()[:6], (files / 'none.py').exists(), cold / 'x')
with r.as_file(cold) as path:
    print(path.read_text()[:5], path.name.endswith('deep.py'))
print(r.read_text('thing.sub', 'deep.py')[:5], r.is_resource('thing.sub', 'deep.py'))
print(isinstance(cold, importlib.resources.abc.Traversable))
"""
    assert there.says(text, "-W", "ignore").splitlines() == [
        "['data.txt', 'deep.py'] True",
        "['below', 'one.py'] True",
        "['bare', 'late.py', 'licensed', 'listed', 'not-a-name.py', 'opened.py', 'sub', 'warm.py'] True",
        "data True data ColdFolder",
        "deep.py True False class b'class'",
        f"b'import' False {there.site}/thing/sub/deep.py/x",
        "class True",
        "class True",
        "True",
    ]


def test_a_folder_that_is_no_package_stays_a_namespace_with_its_modules(there: Image) -> None:
    text = """\
import importlib.util, os, pkgutil, thing
spec = importlib.util.find_spec('thing.bare')
print(spec.loader, [*spec.submodule_search_locations] == [os.path.join(*thing.__path__, 'bare')])
import thing.bare.within, thing.listed.below.two
print(thing.bare.within.here, [m.name for m in pkgutil.iter_modules(thing.bare.__path__)])
"""
    assert there.says(text).splitlines() == [
        "None True",
        f"('thing.bare.within', '{there.site}/thing/bare/within.py') ['within']",
    ]


def test_a_cold_module_runs_as_a_program(there: Image) -> None:
    done = there.start("-m", "thing")
    assert (done.stdout, done.stderr) == ("main __main__\n", "")


def test_its_distribution_is_found(there: Image) -> None:
    text = """\
import sys, thing.late, importlib.metadata
from importlib.machinery import FileFinder, SourceFileLoader
finder = sys.path_importer_cache[thing.__path__[0].rpartition('/')[0]]  # as pkg_resources asks
print(type(finder) is FileFinder, isinstance(thing.late.__loader__, SourceFileLoader))
print(importlib.metadata.version('thing'), importlib.metadata.packages_distributions()['single'])
"""
    assert there.says(text).splitlines() == ["True True", "1 ['thing']"]


def test_what_is_nowhere_is_not_found_and_reads_no_block(there: Image) -> None:
    (there.site / "space").mkdir(exist_ok=True)
    text = """\
import importlib.util, space, thing
from _slimbake_cold import hook
print(importlib.util.find_spec('thing.none'), importlib.util.find_spec('none'), space.__path__)
print(sum(len(store._blocks) for store in hook._stores))
import thing.none
"""
    done = there.start("-c", text)
    assert re.match("None None _?NamespacePath", done.stdout) and done.stdout.endswith("\n0\n")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'thing.none'"


def test_what_is_put_on_disk_beside_a_cold_module_comes_first_at_once(tmp_path: Path) -> None:
    there = image(tmp_path, {"thing": THING}, warm=WARM)
    text = """\
import os, pathlib, sys, thing.late
here = pathlib.Path(*thing.__path__)
def again(name):
    sys.modules.pop(name, None)
    return __import__(name, fromlist='x').__loader__.__class__.__name__
print(again('thing.late'), again('thing.licensed'), again('thing.sub'))
(here / 'late.py').write_text('')
(here / 'licensed/__init__.py').write_text('')
os.utime(here, (1, 1)), os.utime(here / 'licensed', (1, 1))
(here / 'opened').write_text('a file, and no package')
os.utime(here, (2, 2))
print(again('thing.late'), again('thing.licensed'), again('thing.sub'), again('thing.opened'))
"""
    assert there.says(text).splitlines() == [
        "ColdLoader ColdLoader ColdLoader",
        "SourceFileLoader PartLoader ColdLoader SourceFileLoader",
    ]


def test_a_warm_module_without_bytecode_is_compiled_and_not_written(tmp_path: Path) -> None:
    files = {"thing/__init__.py": b"", "thing/warm.py": b"def fail():\n    raise ValueError\n"}
    there = image(tmp_path, {"thing": files}, warm=["thing/warm.py"])
    (bytecode,) = there.site.glob("thing/__pycache__/*.pyc")
    text = """\
import inspect, thing.warm
from _slimbake_cold import hook
print(thing.warm.__spec__.cached, len(hook._stores[0]._blocks), inspect.getsource(thing.warm.fail)[:3])
"""
    assert there.says(text) == f"{bytecode} 0 def"
    bytecode.unlink()
    assert there.says(text) == f"{bytecode} 1 def"
    assert not bytecode.exists()


def test_two_layers_share_a_namespace_package(tmp_path: Path) -> None:
    below = {"one": {"space/one/__init__.py": b"value = 1\n", "space/one/late.py": b"value = 2\n"}}
    above = {"two": {"space/two/__init__.py": b"value = 3\n"}}
    there = image(tmp_path, below, above)
    assert len(list(there.root.glob("cold/*.cold"))) == 2
    text = """\
import pkgutil, space, space.one.late, space.two
print(space.one.value, space.one.late.value, space.two.value, type(space.__path__).__name__.lstrip("_"))
print([(m.name, m.ispkg) for m in pkgutil.iter_modules(space.__path__)])
"""
    assert there.says(text).splitlines() == [
        "1 2 3 NamespacePath",
        "[('one', True), ('two', True)]",
    ]


def test_another_version_on_top_is_mixed_with_no_cold_module(tmp_path: Path) -> None:
    there = image(tmp_path, {"thing": THING})
    (there.site / "thing-1.dist-info").rename(there.site / "thing-2.dist-info")
    (there.site / "thing/__init__.py").write_text("version = 2\n")
    text = "import thing, pkgutil; print(thing.version, *pkgutil.iter_modules(thing.__path__))"
    assert there.says(text).startswith("2 ") and "late" not in there.says(text)
    done = there.start("-c", "import thing.late")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'thing.late'"
