"""Cold modules are as they were on disk, to everything that a program may ask."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.unit.inside.cold.images import Image, image

from slimbake.inside.cold.layout import Store
from slimbake.inside.cold.pack import store_bytes

BIG = b"".join(b"def f%d(x):\n    return x + %d\n\n\n" % (n, n) for n in range(2000))
THING = {
    "thing/__init__.py": b'"""Things."""\nfrom thing import warm\n',
    "thing/warm.py": b"",
    "thing/late.py": b"import inspect\n\n\ndef late():\n    raise ValueError('late')\n",
    "thing/sub/__init__.py": b"def here():\n    return __file__\n",
    "thing/sub/deep.py": b"class Deep:\n    '''A class.'''\n",
    "thing/sub/data.txt": b"data",
    "thing/licensed/__init__.py": b"name = 'licensed'\n",
    "thing/licensed/LICENSE": b"free",
    "thing/__main__.py": b"print('main', __name__)\n",
    "thing/big.py": BIG,
    "thing/not-a-name.py": b"",
    "thing/bare/within.py": b"here = __name__, __file__\n",  # in a folder that is no package
    "single.py": b"value = 1\n",
}
WARM = ("thing/__init__.py", "thing/warm.py source")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return image(tmp_path_factory.mktemp("cold"), {"thing": THING}, warm=WARM)


def test_what_no_start_needs_is_not_on_disk(there: Image) -> None:
    left = {path.relative_to(there.site).as_posix() for path in there.site.rglob("thing/**/*.py")}
    assert left == {"thing/warm.py", "thing/not-a-name.py"}
    assert not (there.site / "single.py").exists()
    assert (there.site / "thing/licensed/LICENSE").exists()


@pytest.mark.parametrize("options", [(), ("-I",), ("-E",), ("-s",), ("-O",), ("-P",)])
def test_it_is_imported_as_from_disk(there: Image, options: tuple[str, ...]) -> None:
    text = """\
import single, thing.late, thing.sub.deep as deep, thing.licensed
print(thing.late.__file__, deep.__spec__.origin == deep.__file__, deep.__package__)
print(thing.sub.__path__ == [thing.sub.__file__.rpartition('/')[0]], thing.licensed.name)
print(single.value, thing.late.__cached__)
"""
    assert there.says(text, *options).splitlines() == [
        f"{there.site}/thing/late.py True thing.sub",
        "True licensed",
        f"1 {there.site}/thing/__pycache__/late.{sys.implementation.cache_tag}"
        + (".opt-1.pyc" if options == ("-O",) else ".pyc"),
    ]


def test_an_init_is_also_a_module_of_its_own_package(there: Image) -> None:
    """As `from .__init__ import test` of statsmodels has it."""
    text = """\
import importlib, os, sys
for name in ('thing', 'thing.sub', 'thing.licensed', 'single', 'thing.late'):
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
        *("thing/licensed/__init__.py thing.licensed.__init__ thing.licensed", "False False None"),
        "No module named 'single.__init__'; 'single' is not a package",
        "No module named 'thing.late.__init__'; 'thing.late' is not a package",
    ]


def test_pkgutil_lists_cold_and_warm_modules_in_the_order_of_their_files(there: Image) -> None:
    text = """\
import thing, pkgutil
print([(m.name, m.ispkg) for m in pkgutil.walk_packages(thing.__path__, 'thing.')])
print([m.name for m in pkgutil.iter_modules([thing.__path__[0].rpartition('/')[0]])])
print(pkgutil.get_data('thing.sub', 'data.txt'), pkgutil.get_data('thing.sub', 'deep.py')[:5])
"""
    first, second, third = there.says(text).splitlines()
    assert first == str(
        [
            *[("thing.__main__", False), ("thing.big", False), ("thing.late", False)],
            *[("thing.licensed", True), ("thing.not-a-name", False), ("thing.sub", True)],
            *[("thing.sub.deep", False), ("thing.warm", False)],
        ]
    )
    assert {"single", "thing"} <= set(eval(second))  # noqa: S307 - a list of names, as printed
    assert third == "b'data' b'class'"


def test_resources_sources_and_tracebacks_are_there(there: Image) -> None:
    text = """\
import importlib.resources as r, inspect, linecache, traceback, thing.late, thing.sub.deep as deep
print(r.files('thing.sub').joinpath('data.txt').read_text())
print(sorted(each.name for each in r.files('thing.licensed').iterdir() if '__' not in each.name))
print(inspect.getsource(deep.Deep).splitlines()[1].strip(), inspect.getdoc(thing))
print(linecache.getline(thing.late.__file__, 5).strip())
try:
    thing.late.late()
except ValueError:
    print(traceback.format_exc().splitlines()[-2].strip())
"""
    assert there.says(text).splitlines() == [
        "data",
        "['LICENSE']",
        "'''A class.''' Things.",
        "raise ValueError('late')",
        "raise ValueError('late')",
    ]


def test_a_folder_that_is_no_package_stays_a_namespace_with_its_modules(there: Image) -> None:
    text = """\
import importlib.util, os, pkgutil, thing
spec = importlib.util.find_spec('thing.bare')
print(spec.loader, [*spec.submodule_search_locations] == [os.path.join(*thing.__path__, 'bare')])
print([m.name for m in pkgutil.iter_modules(thing.__path__)].count('bare'), os.listdir(thing.__path__[0] + '/bare'))
import thing.bare.within
print(thing.bare.within.here, [m.name for m in pkgutil.iter_modules(thing.bare.__path__)])
"""
    assert there.says(text).splitlines() == [
        "None True",
        "0 ['within.py']",
        f"('thing.bare.within', '{there.site}/thing/bare/within.py') ['within']",
    ]


def test_an_uncaught_error_shows_the_line_of_a_cold_module(there: Image) -> None:
    done = there.start("-c", "import thing.late; thing.late.late()")
    assert (
        f'File "{there.site}/thing/late.py", line 5, in late\n    raise ValueError' in done.stderr
    )


def test_the_file_of_a_cold_module_is_opened_by_its_path(there: Image) -> None:
    text = """\
import os, pathlib, runpy, single, thing.sub.deep as deep, tokenize
path = pathlib.Path(deep.__file__)
print(len(path.read_bytes()), open(path).readline().strip(), os.path.getsize(path))
print(path.exists(), path.is_file(), os.path.isfile(str(path) + 'x'), os.path.exists('/none.py'))
with open(path, 'rb') as file, tokenize.open(str(path)) as text:
    print(file.name == str(path), os.fstat(file.fileno()).st_size, text.encoding)
print(runpy.run_path(single.__file__)['value'])
for mode in 'w', 'r':
    try:
        open('/none/x.py', mode)
    except FileNotFoundError as error:
        print(error.filename)
"""
    size = len(THING["thing/sub/deep.py"])
    assert there.says(text).splitlines() == [
        f"{size} class Deep: {size}",
        "True True False False",
        f"True {size} utf-8",
        "1",
        "/none/x.py",
        "/none/x.py",
    ]


LISTS = """\
import glob, io, os, pathlib, shutil, sys, tarfile, tempfile, thing, zipfile
top = os.path.dirname(thing.__file__)
def said(words, found): print(words, sorted(str(each) for each in found if '__pycache__' not in str(each)))
def within(found): return (os.path.relpath(each, top) for each in found)
said('listdir', os.listdir(top))
said('bytes', map(os.fsdecode, os.listdir(os.fsencode(top))))
said('walk', (f'{os.path.relpath(at, top)} {sorted({*below} - {"__pycache__"})} {sorted(names)}'
    for at, below, names in os.walk(top)))
said('glob', within(glob.glob(f'{top}/**/*.py', recursive=True)))
said('rglob', within(pathlib.Path(top).rglob('*.py')))
said('iterdir', (each.name for each in pathlib.Path(top, 'sub').iterdir()))
with os.scandir(top) as entries:
    said('scandir', ((e.name, e.is_file(), e.is_dir(), e.is_symlink(), e.is_file() and e.stat().st_size,
        os.fspath(e) == e.path) for e in entries if e.name != '__pycache__'))
said('is', (f'{n} {os.path.isdir(f"{top}/{n}")} {os.path.isfile(f"{top}/{n}")} {os.path.lexists(f"{top}/{n}")}'
    for n in ('only', 'only/one.py', 'sub', 'late.py', 'none', 'none.py')))
os.chdir(f'{top}/only')
said('here', [*os.listdir(), *os.listdir('.'), *(e.name for e in os.scandir())])
descriptor = os.open(f'{top}/sub', os.O_RDONLY)
said('descriptor', (each for each in os.listdir(descriptor) if not each.endswith('.py')))
os.chdir(gone := tempfile.mkdtemp())
os.rmdir(gone)
said('gone', [*os.listdir('.'), *os.scandir('.')])
with tempfile.TemporaryDirectory() as scratch:
    copy = shutil.copytree(top, f'{scratch}/copy', ignore=shutil.ignore_patterns('__pycache__'))
    said('copytree', (f'{p.relative_to(copy)} {p.is_dir() or len(p.read_bytes())}' for p in pathlib.Path(copy).rglob('*')))
    with tarfile.open(f'{scratch}/a.tar', 'w') as archive:
        archive.add(top, 'thing', filter=lambda each: None if '__pycache__' in each.name else each)
    said('tar', ((each.name, each.size) for each in tarfile.open(f'{scratch}/a.tar')))
    with zipfile.ZipFile(f'{scratch}/a.zip', 'w') as archive:
        archive.write(f'{top}/late.py', 'late.py')
    said('zip', zipfile.ZipFile(f'{scratch}/a.zip').namelist())
for ask in os.listdir, os.scandir:
    try:
        ask(f'{top}/none')
    except FileNotFoundError as error:
        print(ask.__name__, os.path.relpath(error.filename, top))
"""


def test_cold_files_are_listed_copied_and_packed_as_those_on_disk(tmp_path: Path) -> None:
    """Not by a rule for each caller: what the standard library answers is the same in both images."""
    files = THING | {"thing/only/__init__.py": b"", "thing/only/one.py": b"value = 1\n"}
    cold = image(tmp_path / "cold", {"thing": files}, warm=WARM)
    disk = image(tmp_path / "disk")
    disk.install((tmp_path / "cold/wheels-0").glob("*.whl"))
    assert not list(cold.site.glob("thing/only/*.py"))
    assert "only/one.py" in disk.says(LISTS)
    assert cold.says(LISTS) == disk.says(LISTS)


def test_what_finds_cold_files_takes_its_arguments_by_name_too(there: Image) -> None:
    text = """\
import io, os, thing.late
path = thing.late.__file__
print(open(file=path, mode='r', encoding='utf-8').readline().strip(), io.open(file=path).name == path)
print(os.stat(path=path).st_size, os.lstat(path=path).st_size, io.open_code(path=path).read(6))
print(os.listdir(path='/proc/self/task') != [], len(list(os.scandir(path=os.path.dirname(path)))) > 3)
print(os.listxattr(), os.listxattr(path=path))
"""
    size = len(THING["thing/late.py"])
    assert there.says(text).splitlines() == [
        "import inspect True",
        f"{size} {size} b'import'",
        "True True",
        "[] []",
    ]


def test_the_calls_below_open_find_cold_files_too(there: Image) -> None:
    text = """\
import os, shutil, thing, thing.sub.deep as deep
path, folder = deep.__file__, os.path.dirname(thing.__file__)
number = os.open(path, os.O_RDONLY)
print(os.read(number, 10), os.fstat(number).st_size, os.get_inheritable(number))
for flags in os.O_RDWR, os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.O_RDONLY | os.O_DIRECTORY:
    try:
        os.close(os.open(path, flags, mode=0o600)), os.unlink(path), print('made')
    except FileNotFoundError as error:
        print(error.filename == path)
for where in path, folder + '/none.py', folder:
    print([os.access(path=where, mode=mode) for mode in (os.F_OK, os.R_OK, os.X_OK)])
print(os.access(path, os.W_OK), os.access(path, os.R_OK, effective_ids=True), shutil.which(path))
print(os.access in os.supports_effective_ids, os.open in os.supports_dir_fd)
"""
    assert there.says(text).splitlines() == [
        f"b'class Deep' {len(THING['thing/sub/deep.py'])} False",
        *("True", "made", "True"),
        *("[True, True, False]", "[False, False, False]", "[True, True, True]"),
        "False True None",
        "True True",
    ]


def test_a_folder_that_a_configuration_names_is_listed_and_its_files_are_loaded(
    tmp_path: Path,
) -> None:
    """As Alembic finds revisions: by a path that no source of a layer has."""
    revisions = ("0584bd_first", "a1b2c3_second")
    files = {"db/__init__.py": b"", "db/env.py": b"", "db/versions/__init__.py": b""}
    files |= {f"db/versions/{name}.py": b"revision = __name__\n" for name in revisions}
    there = image(tmp_path, {"db": files})
    text = """\
import importlib.util, os, sys, db
for name in ('env.py', *(f'versions/{each}' for each in sorted(os.listdir(sys.argv[1] + '/versions')))):
    spec = importlib.util.spec_from_file_location('loaded', os.path.join(sys.argv[1], name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    print(name, getattr(module, 'revision', ''))
"""
    done = there.start("-c", text, str(there.site / "db"))
    assert done.stdout.splitlines() == [
        *("env.py ", "versions/0584bd_first.py loaded", "versions/__init__.py "),
        "versions/a1b2c3_second.py loaded",
    ], done.stderr


def test_a_cold_module_runs_as_a_program(there: Image) -> None:
    done = there.start("-m", "thing")
    assert (done.stdout, done.stderr) == ("main __main__\n", "")


def test_what_is_nowhere_is_not_found_and_a_namespace_package_stays_one(there: Image) -> None:
    (there.site / "space").mkdir(exist_ok=True)
    text = """\
import importlib.util, space, thing
print(importlib.util.find_spec('thing.none'), importlib.util.find_spec('none'), space.__path__)
import thing.none
"""
    done = there.start("-c", text)
    assert done.stdout.startswith("None None _NamespacePath")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'thing.none'"


def test_neither_a_warm_module_nor_a_miss_reads_a_block(there: Image) -> None:
    text = """\
import sys, thing
try:
    import thing.none
except ImportError:
    print(type(thing.__loader__).__name__, 'lzma' in sys.modules)
"""
    assert there.says(text) == "ColdLoader False"


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
(here / 'big').write_text('a file, and no package')
os.utime(here, (2, 2))
print(again('thing.late'), again('thing.licensed'), again('thing.sub'), again('thing.big'))
"""
    assert there.says(text).splitlines() == [
        "ColdLoader ColdLoader ColdLoader",
        "SourceFileLoader SourceFileLoader ColdLoader ColdLoader",
    ]


def test_one_module_is_read_without_what_stands_behind_it_in_its_block(there: Image) -> None:
    text = """\
import thing.late, _slimbake_cold.serve as serve, pathlib
before = [len(block) for block in serve._blocks.values()]
import thing.sub.deep
after = [len(block) for block in serve._blocks.values()]
from _slimbake_cold.layout import Store
store = Store(*[name for name, number in serve._blocks])
print(before[0] < after[0], after[0] == len(store.block(0)), len(serve._blocks))
"""
    assert there.says(text) == "True True 1"


def test_a_distribution_of_some_size_shares_no_block_with_the_next(tmp_path: Path) -> None:
    sizes = {"a/__init__.py": 60_000, "b/__init__.py": 60_000, "c/__init__.py": 10_000}
    contents = {path: b"#" * size for path, size in sizes.items()}
    path = tmp_path / "layer.cold"
    path.write_bytes(store_bytes(contents, {path: f"{path[0]}-1.dist-info" for path in sizes}))
    assert {name: row[1] for name, row in Store(str(path)).entries()} == {
        "a/__init__.py": 0,
        "b/__init__.py": 0,
        "c/__init__.py": 1,
    }


def test_the_source_of_a_warm_module_is_read_as_from_disk(tmp_path: Path) -> None:
    code = b"def fail():\n    raise ValueError('here')  # why\n"
    there = image(tmp_path, {"thing": {"thing/__init__.py": code}}, warm=["thing/__init__.py"])
    file = there.site / "thing/__init__.py"
    assert not file.exists()
    text = f"""\
import inspect, linecache, os, pathlib, thing
assert inspect.getsource(thing.fail) == pathlib.Path(thing.__file__).read_text()
assert os.path.isfile(thing.__file__) and os.stat(thing.__file__).st_size == {len(code)}
assert thing.__loader__.get_source('thing').startswith('def fail')
print(thing.__file__, thing.__cached__, linecache.getline(thing.__file__, 2).strip())
"""
    bytecode = next(there.site.glob("thing/__pycache__/*.pyc"))
    assert there.says(text) == f"{file} {bytecode} raise ValueError('here')  # why"
    ended = there.start("-c", "import thing; thing.fail()")
    assert f"File \"{file}\", line 2, in fail\n    raise ValueError('here')  # why" in ended.stderr


def test_without_its_bytecode_a_warm_module_is_compiled_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    there = image(
        tmp_path, {"thing": {"thing/__init__.py": b"a = 1\n"}}, warm=["thing/__init__.py"]
    )
    assert there.says("import thing; print(thing.a)", "-O") == "1"
    bytecode = next(there.site.glob("thing/__pycache__/*"))
    bytecode.unlink()
    assert there.says("import thing; print(thing.a)") == "1"
    assert list(bytecode.parent.iterdir()) == []


def test_an_entry_counts_only_while_its_distribution_is_there(tmp_path: Path) -> None:
    there = image(tmp_path, {"thing": THING}, warm=[f"{WARM[0]} source", WARM[1]])
    (there.site / "thing-1.dist-info").rename(there.site / "thing-2.dist-info")
    assert there.says("import thing") == ""
    done = there.start("-c", "import thing.late")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'thing.late'"
    assert (
        there.says("import thing, pkgutil; print([*pkgutil.iter_modules(thing.__path__)])").count(
            "late"
        )
        == 0
    )
