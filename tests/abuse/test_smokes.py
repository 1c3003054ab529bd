"""Smokes that check nothing and want to be believed: none is, and the judge says why.

Each runs as an image runs it: a judge of its own, and the smoke in the judge's child.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from tests.patience import far_enough
from tests.ran import ran
from tests.unit.programs import written

Judge = Callable[..., "subprocess.CompletedProcess[str]"]

ENDED = "its process ended with exit code 0"
# A forger, as one would write it who has read the judge: it looks for what could be a key or a
# nonce wherever Python and the kernel show it, and sends all it finds to whoever may listen.
FORGE = """
import gc, glob, hashlib, hmac, json, os, socket, sys

def looked_for():
    seen = set()
    for each in gc.get_objects():
        for one in (each, *gc.get_referents(each)):
            if type(one) in (bytes, bytearray) and 16 <= len(one) <= 64:
                seen.add(bytes(one))
    frame = sys._getframe()
    while frame:
        seen |= {v for v in frame.f_locals.values() if type(v) is bytes}
        frame = frame.f_back
    for path in ("environ", "cmdline"):
        for pid in ("self", os.getppid()):
            try:
                with open(f"/proc/{pid}/{path}", "rb") as file:
                    seen |= set(file.read().split(b"\\0"))
            except OSError:
                pass
    return [each for each in seen if each]

def everywhere(words):
    for number in range(3, 64):
        try:
            os.write(number, words)
        except OSError:
            pass

def forge(level=b"load"):
    nonces = []
    for number in range(3, 64):
        try:
            with socket.socket(fileno=os.dup(number)) as channel:
                channel.settimeout(0.05)
                nonces.append(channel.recv(1 << 16))
        except OSError:
            pass
    nonce = nonces[0] if nonces else b""
    for key in looked_for()[:200]:
        for words in (level + nonce, json.dumps([level.decode()]).encode()):
            everywhere(hashlib.blake2b(words, digest_size=32, key=key[:64]).digest())
            everywhere(hmac.new(key, words, "sha256").digest())
"""

HOSTILE = {
    # It ends before its levels have run.
    "exits at import": ("import os; os._exit(0)", ENDED),
    "exits in a level": ("import os\ndef load(): os._exit(0)", f"{ENDED} in load"),
    "exits in a thread": (
        """
        import os, threading, time
        threading.Timer(0.05, os._exit, (0,)).start()
        def load(): time.sleep(3600)
        """,
        ENDED,
    ),
    "exits in an atexit handler": (
        "import atexit, os, sys\natexit.register(os._exit, 0)\ndef load(): sys.exit(0)",
        "load failed",
    ),
    "exits after a fork": (
        "import os\nif os.fork(): os._exit(0)\ndef load(): pass",
        "could not be run",
    ),
    "lets a fork answer": (
        """
        import os, time
        if os.fork():
            time.sleep(3600)
        def load(): pass
        """,
        "another process answers",
    ),
    "returns twice from a level that forks": (
        "import os\ndef load():\n    if os.fork(): import time; time.sleep(3600)",
        "another process answers for it: it has forked in load",
    ),
    "leaves with SystemExit": ("raise SystemExit(0)", "could not be run"),
    "leaves a level with SystemExit": ("def load(): raise SystemExit", "load failed"),
    "leaves with a KeyboardInterrupt": ("def load(): raise KeyboardInterrupt", "load failed"),
    "kills itself": (
        "import os, signal\ndef load(): os.kill(os.getpid(), signal.SIGKILL)",
        "its process was ended by signal 9 in load",
    ),
    "stops itself": (
        "import os, signal\ndef load(): os.kill(os.getpid(), signal.SIGSTOP)",
        "its process was stopped by signal 19 in load",
    ),
    "is aborted": ("import os\ndef load(): os.abort()", "by signal 6 in load"),
    "becomes /bin/true": ("import os\nos.execv('/bin/true', ['true'])", ENDED),
    "becomes a Python that says it held": (
        """
        import os, sys
        LIE = "import os\\nfor n in range(1, 99):\\n try: os.write(n, b'smoke: load passed')\\n except OSError: pass"
        def load(): os.execv(sys.executable, ["python", "-c", LIE])
        """,
        "load failed",
    ),
    "exits in its excepthook": (
        "import os, sys\nsys.excepthook = lambda *_: os._exit(0)\ndef load(): assert 0",
        "load failed",
    ),
    "exits when a signal comes": (
        """
        import os, signal
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, lambda *_: os._exit(0))
        def load(): os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(3600)
        """,
        f"{ENDED} in load",
    ),
    "exits in a callback of the garbage collector": (
        "import gc, os\ngc.callbacks.append(lambda *_: os._exit(0))\ndef load(): gc.collect()",
        f"{ENDED} in load",
    ),
    "exits when its result is shown": (
        """
        import os
        class Result:
            def __repr__(self): os._exit(0)
        def load(): return Result()
        """,
        f"{ENDED} in load",
    ),
    # What fails in it does not reach its level.
    "fails in a thread": (
        """
        import threading
        def check(): assert False
        def load():
            thread = threading.Thread(target=check)
            thread.start()
            thread.join()
        """,
        "load has AssertionError in a thread, which it does not notice",
    ),
    "fails in a destructor": (
        "class A:\n    def __del__(self): assert False\ndef load(): A()",
        "load has AssertionError in a destructor, which it does not notice",
    ),
    "has a child that dies by a signal": (
        """
        import multiprocessing, os, signal
        def check(): os.kill(os.getpid(), signal.SIGKILL)
        def load():
            process = multiprocessing.get_context("fork").Process(target=check)
            process.start()
            process.join()
        """,
        "load has a process that ended with exit code -9, which it does not notice",
    ),
    "has tests that cannot be loaded": (
        """
        import unittest
        def load():
            unittest.TestLoader().loadTestsFromName("nothing_there")
        """,
        "load has tests that cannot be loaded",
    ),
    # It returns something that has not run.
    "is a coroutine that fails": ("async def load(): assert False", "load failed"),
    "fails after its first await": (
        "import asyncio\nasync def load():\n    await asyncio.sleep(0)\n    assert False",
        "load failed",
    ),
    "has an asyncio.run that does nothing": (
        "import asyncio\nasyncio.run = lambda *_: None\nasync def load(): assert False",
        "load failed",
    ),
    "is a generator": (
        "def load():\n    assert False\n    yield",
        "returned <generator object load",
    ),
    "returns an awaitable": (
        """
        class Later:
            def __await__(self):
                assert False
                yield
        def load(): return Later()
        """,
        "load failed",
    ),
    "returns a lazy map": ("def load(): return map(lambda x: 1 / x, [0])", "returned <map object"),
    "forgets to await": (
        "async def check(): assert False\ndef load(): check()",
        "load has check(), which nobody awaits",
    ),
    "forgets to await what it awaits in": (
        "async def check(): assert False\nasync def load(): check()",
        "load has check(), which nobody awaits",
    ),
    "forgets to await a coroutine of a package": (
        "import asyncio\ndef load(): asyncio.sleep(0)",
        "load has sleep(), which nobody awaits",
    ),
    "forgets to await while asyncio debugs": (
        "import asyncio\nasync def load():\n    asyncio.get_running_loop().set_debug(True)\n"
        "    asyncio.sleep(0)\n    await asyncio.sleep(0)",
        "load has sleep(), which nobody awaits",
    ),
    "cancels itself": (
        "import asyncio\nasync def load():\n    asyncio.current_task().cancel()\n    await asyncio.sleep(1)",
        "load failed",
    ),
    "stops its loop": (
        """
        import asyncio
        async def load():
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0)
        """,
        "load failed",
    ),
    "returns False": ("def load(): return 1 + 1 == 3", "returned False"),
    "is a class": (
        "class load:\n    def test(self): assert False",
        "load returned <smoke.load object",
    ),
    "is a number": ("load = 5", "load failed"),
    "needs an argument": ("def load(model): pass", "load failed"),
    # It defines nothing.
    "is empty": ("", "defines none of"),
    "deletes its level": ("def load(): pass\ndel load", "defines none of"),
    "defines levels of None": ("imports = load = parity = None", "defines none of"),
    "asserts a tuple": (
        "def load(): assert (1 + 1 == 3, 'numbers are off')",
        "SyntaxError: assertion is always true",
    ),
    "is no Python": ("def load(: pass", "could not be run"),
    "recurses without end": ("def load(): load()", "load failed"),
    "has no memory": ("def load(): raise MemoryError", "load failed"),
    "changes its level while it runs": (
        "def imports():\n    global load\n    load = print\ndef load(): assert False",
        "load failed",
    ),
    # It outlives its time.
    "cancels every timer": (
        """
        import faulthandler, signal, time
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0); signal.setitimer(signal.ITIMER_REAL, 0)
        def load(): time.sleep(3600)
        """,
        "its time was up in load",
    ),
    "blocks every signal": (
        """
        import signal, time
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        def load():
            while True: pass
        """,
        "its time was up in load",
    ),
    "leaves a shell in a session of its own": (
        """
        import subprocess, time
        subprocess.Popen(["sleep", "987654"], start_new_session=True)
        def load(): time.sleep(3600)
        """,
        "its time was up in load",
    ),
    # It answers in slimbake's place.
    "prints what slimbake prints": (
        """
        import os, sys
        for stream in (sys.stdout, sys.stderr):
            print("smoke: import passed (0.1 s)\\nsmoke: load passed (0.1 s)", file=stream, flush=True)
        os._exit(0)
        """,
        ENDED,
    ),
    "writes into every descriptor": (
        """
        import os
        def load():
            for number in range(3, 64):
                try: os.write(number, b"ended")
                except OSError: pass
            os._exit(0)
        """,
        "something other than slimbake answers for it in load",
    ),
    "closes every descriptor": ("import os\ndef load(): os.closerange(3, 64)", "in load"),
    "forges at import": (f"{FORGE}\nforge()\nos._exit(0)", "something other than slimbake"),
    "forges in a level": (
        f"{FORGE}\ndef load():\n    forge()\n    os._exit(0)",
        "something other than slimbake answers for it in load",
    ),
    "has an os.write of its own": (
        """
        import os
        real = os.write
        os.write = lambda number, words: real(number, b"x" * len(words))
        def load(): assert False
        """,
        "load failed",
    ),
    "has a json of its own": (
        "import json\njson.dumps = lambda *_, **__: '[]'\ndef load(): assert False",
        "load failed",
    ),
    "has a traceback of its own": (
        """
        import os, sys, traceback
        traceback.print_exc = traceback.format_list = lambda *_, **__: os._exit(0)
        def load(): assert False
        """,
        ENDED,
    ),
    "replaces the main module": (
        """
        import sys, types
        sys.modules["__main__"] = types.ModuleType("__main__")
        for name in [n for n in sys.modules if "slimbake" in n]: sys.modules[name] = None
        def load(): assert False
        """,
        "load failed",
    ),
    "replaces slimbake's own functions": (
        """
        import gc, types
        for each in gc.get_objects():
            if type(each) is types.FunctionType and "slimbake" in (each.__module__ or ""):
                if each.__code__.co_freevars == (): each.__code__ = (lambda *_, **__: b"").__code__
        def load(): assert False
        """,
        "load failed",
    ),
    "skips its lines with a trace function": (
        "import sys\nsys.settrace(lambda *_: None)\ndef load(): pass",
        "ran under a trace function",
    ),
    "has an any that finds no trace function": (
        "import builtins, sys\nbuiltins.any = lambda *_: False\ndef load(): sys.settrace(print)",
        "ran under a trace function",
    ),
    "jumps over its level": (
        """
        import sys
        frame = sys._getframe()
        while frame.f_code.co_name != "_answer": frame = frame.f_back
        lines = [number for _, _, number in frame.f_code.co_lines() if number]
        def jump(frame, event, _, seen=[]):
            if event == "line" and "function" in frame.f_locals:
                for number in range(frame.f_lineno + 1, max(lines)):
                    try: frame.f_lineno = number
                    except ValueError: continue
                    if len(seen) > 20: break
                sys.settrace(None)
            return jump
        frame.f_trace = jump
        sys.settrace(jump)
        def load(): assert False
        """,
        "",
    ),
    "jumps from its second level to the answer of its first": (
        """
        import dis, sys
        frame = sys._getframe()
        while frame.f_code.co_name != "_answer": frame = frame.f_back
        stored = [
            each.positions.lineno for each in dis.get_instructions(frame.f_code)
            if each.opname.startswith("STORE") and each.argval == "mark"
        ]
        def jump(frame, event, _):
            if event == "line" and frame.f_locals.get("name") == "load":
                frame.f_lineno = stored[-1]
                sys.settrace(None)
            return jump
        def imports(): pass
        def load():
            frame.f_trace = jump
            sys.settrace(jump)
            return False
        """,
        "something other than slimbake answers for it in load",
    ),
    "profiles": (
        "import sys\nsys.setprofile(lambda *_: None)\ndef load(): pass",
        "ran under a trace function",
    ),
    "deletes its own file": (
        "import os, glob\nfor each in glob.glob('../context/*'): os.unlink(each)\ndef load(): assert 0",
        "load failed",
    ),
    "attaches to its judge": (
        """
        import ctypes, os
        def load():
            traced = ctypes.CDLL(None).ptrace(0x4206, os.getppid(), None, None)
            with open(f"/proc/{os.getppid()}/mem", "rb"): pass
            assert False
        """,
        "load failed",
    ),
    "kills its judge": (
        "import os\ndef load():\n    os.kill(os.getppid(), 9)\n    import time; time.sleep(1)",
        "",
    ),
}
# What a level may return that had to be looked at: it is not, and so it is an error with its text.
RETURNED = {
    "a process that failed": "import subprocess\ndef load(): return subprocess.run(['false'])",
    "an exit code": "import os\ndef load(): return os.system('exit 3')",
    "tests that failed": """
        import unittest
        class Test(unittest.TestCase):
            def runTest(self): self.fail()
        def load(): return Test().run()
        """,
    "an exception": "def load(): return ValueError('numbers are off')",
    "a verdict and a message": "def load(): return False, 'numbers are off'",
    "a message": "def load(): return 'not ready'",
    "an empty message": "def load(): return ''",
    "a truth": "def load(): return True",
    "no answer": "def load(): return []",
    "generators": "def load(): return [(1 / 0 for _ in 'x')]",
    "a cached function": "import functools\nload = lambda: functools.cache(lambda: 1 / 0)",
    "a method": "def load(): return [].append",
    "a class": "class Test: ...\ndef load(): return Test",
    "a future": """
        import concurrent.futures
        def load(): return concurrent.futures.ThreadPoolExecutor(1).submit(lambda: 1 / 0)
        """,
    "the task of a coroutine": """
        import asyncio
        async def check(): await asyncio.sleep(60)
        async def load(): return [asyncio.create_task(check())]
        """,
    "a thread": "import threading\ndef load(): return threading.Thread(target=print)",
    "what equals None": """
        class Result:
            def __eq__(self, other): return True
            def __bool__(self): return False
        def load(): return Result()
        """,
    "a level that was not reached": "def load(): return NotImplemented",
}
# What fails in the check's code where nobody looks.
UNSEEN = {
    "a task that nobody awaits": """
        import asyncio
        async def check(): assert False
        async def load():
            asyncio.create_task(check())
            await asyncio.sleep(0.01)
        """,
    "a task that outlives its loop": """
        import asyncio
        async def check(): assert False
        async def main():
            task = asyncio.ensure_future(check())
            await asyncio.wait([task])
        def load(): asyncio.run(main())
        """,
    "what a loop calls soon": """
        import asyncio
        def check(): assert False
        async def load():
            asyncio.get_running_loop().call_soon(check)
            await asyncio.sleep(0.01)
        """,
    "what a loop calls later": """
        import asyncio
        def check(): assert False
        async def load():
            asyncio.get_running_loop().call_later(0.01, check)
            await asyncio.sleep(0.1)
        """,
    "a thread of the service's code": """
        import threading, pathlib, sys
        pathlib.Path("service.py").write_text("def work(): assert False")
        import service
        def load():
            thread = threading.Thread(target=service.work)
            thread.start()
            thread.join()
        """,
    "a timer": """
        import threading
        def check(): assert False
        def load():
            timer = threading.Timer(0, check)
            timer.start()
            timer.join()
        """,
    "a thread whose exceptions go elsewhere": """
        import threading
        threading.excepthook = lambda _: None
        def check(): assert False
        def load():
            thread = threading.Thread(target=check)
            thread.start()
            thread.join()
        """,
    "a thread of a kind of its own": """
        import threading
        class Check(threading.Thread):
            def run(self): assert False
        def load():
            threading.excepthook = print
            thread = Check()
            thread.start()
            thread.join()
        """,
    "a future that nobody reads": """
        from concurrent.futures import ThreadPoolExecutor
        def check(): assert False
        def load():
            with ThreadPoolExecutor() as pool: pool.submit(check)
        """,
    "a future beside others that are read": """
        from concurrent.futures import ThreadPoolExecutor, as_completed
        def check(number): assert number != 5
        def load():
            with ThreadPoolExecutor(1) as pool:
                for number in range(9):
                    pool.submit(check, number)
                    pool.submit(abs, number).result()
        """,
    "futures that somebody waits for": """
        from concurrent.futures import ThreadPoolExecutor, wait
        def check(): assert False
        def load():
            with ThreadPoolExecutor() as pool: wait([pool.submit(check)])
        """,
    "tests of a main that goes on": """
        import unittest
        class Test(unittest.TestCase):
            def test(self): self.assertEqual(1, 2)
        def load(): unittest.main(__name__, argv=["smoke"], exit=False)
        """,
    "tests whose set-up fails": """
        import unittest
        class Test(unittest.TestCase):
            def setUp(self): assert False
            def test(self): pass
        def load(): unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(Test))
        """,
    "a part of a test": """
        import unittest
        class Test(unittest.TestCase):
            def test(self):
                for number in (1, 2):
                    with self.subTest(number=number): assert number == 1
        def load(): Test("test").run()
        """,
    "a callback of a weak reference": """
        import weakref
        class Model: ...
        def check(_): assert False
        def load():
            model = Model()
            reference = weakref.ref(model, check)
            del model
        """,
}
# Processes of multiprocessing that fail, and nobody reads how they ended.
PROCESSES = {
    "fails": """
        import multiprocessing
        def check(): assert False
        def load():
            process = multiprocessing.Process(target=check)
            process.start()
            process.join()
        """,
    "fails later": """
        import multiprocessing, time
        def check(): time.sleep(0.2); raise SystemExit(4)
        def load():
            process = multiprocessing.get_context("fork").Process(target=check)
            process.start()
            while process.is_alive(): time.sleep(0.01)
        """,
    "fails and nobody waits": """
        import multiprocessing, time
        class Check(multiprocessing.Process):
            def run(self): {}["key"]
        def load():
            Check().start()
            time.sleep(5)
        """,
    "is one of the service's": """
        import multiprocessing, pathlib
        pathlib.Path("service.py").write_text(
            "import multiprocessing\\ndef work(): 1 / 0\\n"
            "def serve():\\n    p = multiprocessing.Process(target=work)\\n    p.start()\\n    p.join()\\n"
        )
        import service
        def load(): service.serve()
        """,
    "finds no check where it begins": """
        import multiprocessing
        def check(): pass
        def load():
            process = multiprocessing.get_context("spawn").Process(target=check)
            process.start()
            process.join()
        """,
}


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Judge a smoke of this text."""
    for folder in ("app", "context"):
        (tmp_path / folder).mkdir()
    program = written("check", tmp_path)

    def call(text: str, limit: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "context/smoke.py").write_text(dedent(text))
        context = f"--context={tmp_path / 'context'}"
        return ran(
            [sys.executable, "-ISB", str(program), "smoke", context, f"--limit={limit}"],
            cwd=tmp_path / "app",
            env={**os.environ, "SLIMBAKE_SMOKE": "smoke.py", **variables},
        )

    return call


@pytest.mark.parametrize("name", HOSTILE)
def test_a_smoke_that_checks_nothing_is_not_believed(name: str, judge: Judge) -> None:
    text, why = HOSTILE[name]
    if "time was up" in why:
        done = far_enough(lambda limit: judge(text, limit=limit), lambda done: why in done.stderr)
    else:
        done = judge(text)
    assert done.returncode != 0, done.stderr
    assert why in done.stderr, done.stderr


@pytest.mark.parametrize("name", RETURNED)
def test_what_a_level_returns_is_an_error_with_its_text(name: str, judge: Judge) -> None:
    done = judge(RETURNED[name])
    assert done.returncode != 0, done.stderr
    assert "smoke: load returned " in done.stderr, done.stderr


@pytest.mark.parametrize("name", UNSEEN)
def test_what_fails_where_nobody_looks_is_an_error(name: str, judge: Judge) -> None:
    done = judge(UNSEEN[name])
    assert done.returncode != 0, done.stderr
    assert "smoke: load has AssertionError in a " in done.stderr, done.stderr


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_that_fails_where_nobody_looks_is_an_error(name: str, judge: Judge) -> None:
    done = judge(PROCESSES[name])
    assert done.returncode != 0, done.stderr
    assert "smoke: load has a process that ended with exit code " in done.stderr, done.stderr


def test_a_long_result_is_cut(judge: Judge) -> None:
    done = judge("def load(): return '\u202e' * 10_000_000")
    assert done.returncode == 1 and "returned '" + "\\u202e" * 3 in done.stderr
    assert len(done.stderr) < 1000


def test_a_smoke_that_checks_is_believed(judge: Judge) -> None:
    honest = """
        import asyncio, multiprocessing, os, subprocess, sys, threading
        def imports(): import json
        async def load():
            await asyncio.sleep(0)
            if not (child := os.fork()): os._exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
            assert subprocess.run([sys.executable, "-c", "exit(4)"]).returncode == 4
            thread = threading.Thread(target=print, args=("in a thread",))
            thread.start()
            thread.join()
            with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
        """
    done = judge(honest)
    assert done.returncode == 0, done.stderr
    assert "smoke: load passed" in done.stderr and "in a thread" in done.stderr


def test_a_failure_that_is_read_is_none(judge: Judge) -> None:
    text = """
        import asyncio, concurrent.futures, multiprocessing, sys, threading, time, unittest
        def fail(): raise ValueError
        class Test(unittest.TestCase):
            def test(self): self.assertRaises(ValueError, fail)
        def threads():
            thread = threading.Thread(target=sys.exit, args=(3,))
            thread.start()
            thread.join()
        def futures():
            with concurrent.futures.ThreadPoolExecutor() as pool:
                for future in [pool.submit(fail), pool.submit(fail)]:
                    try: future.result()
                    except ValueError: pass
                assert isinstance(pool.submit(fail).exception(), ValueError)
                try: [*pool.map(lambda _: fail(), [1])]
                except ValueError: pass
        def processes():
            process = multiprocessing.Process(target=fail)
            process.start()
            process.join()
            assert process.exitcode == 1
            process.close()
            for name in ("terminate", "kill"):
                process = multiprocessing.Process(target=time.sleep, args=(60,))
                process.start()
                getattr(process, name)()
                process.join()
            process = multiprocessing.Process(target=abs, args=(1,))
            process.start()
            process.join()
            process.close()
            multiprocessing.Process(target=time.sleep, args=(60,), daemon=True).start()
            with concurrent.futures.ProcessPoolExecutor(1) as pool:
                assert isinstance(pool.submit(fail).exception(), ValueError)
        async def load():
            threads(); futures(); processes()
            unittest.main(__name__, argv=["smoke"], exit=False)
            try: await asyncio.to_thread(fail)
            except ValueError: pass
        """
    done = judge(text)
    assert done.returncode == 0, done.stderr


def test_what_goes_wrong_inside_a_package_is_its_own_affair(judge: Judge) -> None:
    text = """
        import json, threading
        package = {}
        exec(compile("async def later(): ...\\ndef call(): later()", "package.py", "exec"), package)
        def load():
            thread = threading.Thread(target=json.loads, args=("",))
            thread.start()
            thread.join()
            package["call"]()
        """
    done = judge(text)
    assert done.returncode == 0, done.stderr
    assert "JSONDecodeError" in done.stderr and "later' was never awaited" in done.stderr


@pytest.mark.parametrize("level", ["1", "2"])
def test_asserts_count_with_every_flag_of_python(level: str, judge: Judge) -> None:
    done = judge("def load(): assert False", PYTHONOPTIMIZE=level)
    assert done.returncode == 1 and "load failed" in done.stderr


def test_variables_lead_to_no_other_file(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/smoke.py").write_text("def load(): pass")
    done = judge(
        "def load(): assert False", SMOKE_CONTEXT=str(tmp_path / "other"), SMOKE="../other/smoke.py"
    )
    assert done.returncode == 1 and "load failed" in done.stderr


def test_a_link_to_a_file_outside_the_context_is_no_smoke(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "context/smoke.py").symlink_to("nowhere.py")
    (tmp_path / "context/other.py").symlink_to("smoke.py")
    done = judge("", SLIMBAKE_SMOKE="other.py")  # the fixture writes through the link
    assert done.returncode == 1 and "defines none of" in done.stderr
    (tmp_path / "context/nowhere.py").unlink()
    done = judge("", SLIMBAKE_SMOKE="missing.py")
    assert done.returncode == 1 and "missing.py" in done.stderr


@pytest.mark.parametrize(
    "leave",
    [
        "subprocess.Popen(SLEEP, start_new_session=True)",
        "if not os.fork():\n        os.setsid()\n        if not os.fork(): os.execvp(SLEEP[0], SLEEP)\n        os._exit(0)",
        "for _ in range(40): subprocess.Popen(SLEEP)",
    ],
)
def test_nothing_that_a_smoke_starts_outlives_it(leave: str, judge: Judge, tmp_path: Path) -> None:
    seconds = str(10**6 + os.getpid())
    text = f"import os, subprocess\nSLEEP = ['sleep', '{seconds}']\ndef load():\n    {leave}\n"
    done = judge(text)
    assert done.returncode == 0, done.stderr
    left = subprocess.run(["pgrep", "-f", f"sleep {seconds}"], capture_output=True, check=False)
    assert left.stdout == b""
