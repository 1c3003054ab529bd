"""Cold modules in threads, in forked and spawned processes, and reloaded."""

from pathlib import Path

import pytest
from tests.unit.inside.cold.images import Image, image, pythons

FILES = {
    f"thing/m{n}.py": f"import time\ntime.sleep(0.01)\nvalue = {n}\n".encode() for n in range(40)
}
THING = {
    "thing/__init__.py": b"",
    **FILES,
    "thing/work.py": b"class Work:\n    def __init__(self, n):\n        self.n = n\n\n\n"
    b"def double(n):\n    return 2 * n\n",
}


@pytest.fixture(scope="module", params=pythons(), ids=Path)
def there(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Image:
    root = tmp_path_factory.mktemp("cold")
    return image(root, {"thing": THING}, warm=["thing/__init__.py"], python=request.param)


def said(there: Image, text: str) -> str:
    """From 3.12 on Python warns of each fork of a process with threads."""
    return there.says(text, "-W", "ignore::DeprecationWarning")


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
    assert said(there, text) == "320 40 True"


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
        os._exit(0 if importlib.import_module(f'thing.m{n}').value == n else 1)
    codes.append(os.waitpid(child, 0)[1])
thread.join()
import thing.m19
print(codes == [0] * 10, thing.m19.value)
"""
    assert said(there, text) == "True 19"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_unpickle_what_a_cold_module_defines(there: Image, method: str) -> None:
    text = f"""\
import multiprocessing, thing.work
if __name__ == '__main__':
    with multiprocessing.get_context('{method}').Pool(2) as pool:
        print(pool.map(thing.work.double, [1, 2]), pool.apply(thing.work.Work, (3,)).n)
"""
    assert said(there, text) == "[2, 4] 3"


def test_a_daemon_that_closed_all_files_reads_the_store(there: Image) -> None:
    text = "import os, thing.m1; os.closerange(3, 99); import thing.m2; print(thing.m2.value)"
    assert said(there, text) == "2"


def test_a_cold_module_is_reloaded_and_found_again(there: Image) -> None:
    text = """\
import importlib, importlib.util, sys, thing.work as work
work.double = None
importlib.invalidate_caches()
print(importlib.reload(work) is work, work.double(2))
del sys.modules['thing.work']
print(importlib.import_module('thing.work') is work, importlib.util.find_spec('thing.m1').has_location)
"""
    assert said(there, text).splitlines() == ["True 4", "False True"]
