"""Cold modules in threads, forked and spawned processes, under a debugger, and reloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.inside.cold.images import Image, image

FILES = {
    f"thing/m{n}.py": f"import time\ntime.sleep(0.01)\nvalue = {n}\n".encode() for n in range(40)
}
THING = {
    "thing/__init__.py": b"",
    **FILES,
    "thing/work.py": b"class Work:\n    def __init__(self, n):\n        self.n = n\n\n\n"
    b"def double(n):\n    return 2 * n\n",
}


OTHER = {"other/__init__.py": b"", "other/m2.py": b"value = 2\n"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Image:
    warm = ["thing/__init__.py", "other/__init__.py"]
    return image(tmp_path_factory.mktemp("cold"), {"thing": THING, "other": OTHER}, warm=warm)


def test_two_threads_that_want_one_cold_module_get_the_same(there: Image) -> None:
    text = """\
import importlib, threading
found = []
start = threading.Barrier(8)
def get():
    start.wait()
    for n in range(40):
        found.append((n, importlib.import_module(f'thing.m{n}')))
threads = [threading.Thread(target=get) for _ in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
print(len(found), len({id(module) for _, module in found}), all(m.value == n for n, m in found))
"""
    assert there.says(text) == "320 40 True"


def test_a_fork_during_a_cold_import_harms_neither_process(there: Image) -> None:
    text = """\
import importlib, os, threading, time
import thing  # a package that is half imported deadlocks forks without a store, too
def get():
    for n in range(20):
        importlib.import_module(f'thing.m{n}')
thread = threading.Thread(target=get)
thread.start()
codes = []
for n in range(20, 30):
    time.sleep(0.015)
    child = os.fork()
    if not child:
        module = importlib.import_module(f'thing.m{n}')
        os._exit(0 if module.value == n and len(open(module.__file__).read()) else 1)
    codes.append(os.waitpid(child, 0)[1])
thread.join()
import thing.m19
print(codes == [0] * 10, thing.m19.value)
"""
    assert there.says(text) == "True 19"


def test_a_fork_waits_for_what_the_store_itself_imports(there: Image) -> None:
    text = """\
import importlib, os, sys, threading, time
reached = threading.Event()
class Slow:
    def find_spec(name, *_):
        if name == 'lzma':
            reached.set()
            time.sleep(0.4)
sys.meta_path.insert(0, Slow)
thread = threading.Thread(target=importlib.import_module, args=('thing.m1',))
thread.start()
reached.wait()
child = os.fork()
if not child:
    os._exit(importlib.import_module('other.m2').value)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert there.says(text) == "2"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_unpickle_what_a_cold_module_defines(there: Image, method: str) -> None:
    text = f"""\
import multiprocessing, thing.work
if __name__ == '__main__':
    with multiprocessing.get_context('{method}').Pool(2) as pool:
        print(pool.map(thing.work.double, [1, 2]), pool.apply(thing.work.Work, (3,)).n)
"""
    assert there.says(text) == "[2, 4] 3"


def test_a_worker_that_was_forked_after_the_import_reads_more_of_the_store(there: Image) -> None:
    text = """\
import os, thing.m1
for n in 2, 3:
    if not os.fork():
        module = __import__(f'thing.m{n}', fromlist=['value'])
        os._exit(module.value)
print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)))
"""
    assert there.says(text) == "[2, 3]"


def test_a_daemon_that_closed_all_files_reads_the_store(there: Image) -> None:
    text = "import os, thing.m1; os.closerange(3, 99); import thing.m2; print(thing.m2.value)"
    assert there.says(text) == "2"


def test_a_cold_module_is_reloaded_and_found_again(there: Image) -> None:
    text = """\
import importlib, importlib.util, sys, thing.work as work
work.double = None
importlib.invalidate_caches()
print(importlib.reload(work) is work, work.double(2))
del sys.modules['thing.work']
print(importlib.import_module('thing.work') is work, importlib.util.find_spec('thing.m1').has_location)
"""
    assert there.says(text).splitlines() == ["True 4", "False True"]


def test_a_debugger_stops_at_a_line_and_shows_it(there: Image, tmp_path: Path) -> None:
    (tmp_path / ".pdbrc").write_text(f"b {there.site}/thing/work.py:7\nc\nlist 6,7\np n\nq\n")
    (tmp_path / "main.py").write_text("import thing.work\nprint(thing.work.double(21))\n")
    text = "import thing.work, pdb, sys; sys.argv = ['pdb', 'main.py']; pdb.main()"
    done = there.start("-c", text, cwd=tmp_path)
    assert "return 2 * n" in done.stdout and "\n21\n" in done.stdout, done


def test_shutil_still_removes_trees_safely(there: Image) -> None:
    text = "import thing.m1, shutil; print(shutil.rmtree.avoids_symlink_attacks)"
    assert there.says(text) == "True"


def test_open_is_pickled_and_inspected_as_before(there: Image) -> None:
    text = (
        "import thing.m1, io, pickle, inspect; print(pickle.loads(pickle.dumps(open)) is io.open)"
    )
    assert there.says(text) == "True"


def test_pkg_resources_sees_the_folder_as_one_of_files(there: Image) -> None:
    text = """\
import sys, thing.m1
from importlib.machinery import FileFinder, SourceFileLoader
finder = sys.path_importer_cache[thing.__path__[0]]
print(isinstance(finder, FileFinder), isinstance(thing.m1.__loader__, SourceFileLoader))
import importlib.metadata
print(importlib.metadata.version('thing'), 'thing' in importlib.metadata.packages_distributions())
"""
    assert there.says(text).splitlines() == ["True True", "1 True"]
