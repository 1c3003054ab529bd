"""Smokes that fail where no level raises: each is a failure, and its text says why.

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

# The body of a function that runs another to its end.
IN_A_THREAD = """
    thread = threading.Thread(target={})
    thread.start()
    thread.join()
"""
FAILING = {
    # It ends before its levels have run.
    "exits at import": ("import os; os._exit(0)", ENDED),
    "exits in a level": ("import os\ndef load(): os._exit(0)", f"{ENDED} in load"),
    "exits in a thread": (
        "import os, threading, time\nthreading.Timer(0.05, os._exit, (0,)).start()\n"
        "def load(): time.sleep(3600)",
        ENDED,
    ),
    "leaves with SystemExit": ("raise SystemExit(0)", "could not be run"),
    "leaves a level with SystemExit": ("def load(): raise SystemExit", "load failed"),
    "kills itself": (
        "import os, signal\ndef load(): os.kill(os.getpid(), signal.SIGKILL)",
        "its process was ended by signal 9 in load",
    ),
    # What fails in it does not reach its level.
    "fails in a thread": (
        f"import threading\ndef check(): assert False\ndef load():{IN_A_THREAD.format('check')}",
        "load has AssertionError in a thread, which it does not notice",
    ),
    # It returns something that has not run.
    "is a coroutine that fails": ("async def load(): assert False", "load failed"),
    "fails after its first await": (
        "import asyncio\nasync def load():\n    await asyncio.sleep(0)\n    assert False",
        "load failed",
    ),
    "is a generator": (
        "def load():\n    assert False\n    yield",
        "returned <generator object load",
    ),
    "returns a lazy map": ("def load(): return map(lambda x: 1 / x, [0])", "returned <map object"),
    "cancels itself": (
        "import asyncio\nasync def load():\n    asyncio.current_task().cancel()\n    await asyncio.sleep(1)",
        "load failed",
    ),
    "stops its loop": (
        "import asyncio\nasync def load():\n    asyncio.get_running_loop().stop()\n"
        "    await asyncio.sleep(0)",
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
    "defines levels of None": ("imports = load = parity = None", "defines none of"),
    "is no Python": ("def load(: pass", "could not be run"),
    "recurses without end": ("def load(): load()", "load failed"),
    "prints what slimbake prints": (
        """
        import os, sys
        for stream in (sys.stdout, sys.stderr):
            print("smoke: import passed (0.1 s)\\nsmoke: load passed (0.1 s)", file=stream, flush=True)
        os._exit(0)
        """,
        ENDED,
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
    "a truth": "def load(): return True",
    "no answer": "def load(): return []",
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
    "a thread of the service's code": (
        "import threading, pathlib\n"
        "pathlib.Path('service.py').write_text('def work(): assert False')\n"
        f"import service\ndef load():{IN_A_THREAD.format('service.work')}"
    ),
    "a thread of a kind of its own": """
        import threading
        class Check(threading.Thread):
            def run(self): assert False
        def load():
            thread = Check()
            thread.start()
            thread.join()
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


@pytest.mark.parametrize("name", FAILING)
def test_a_smoke_that_does_not_run_to_its_end_is_a_failure(name: str, judge: Judge) -> None:
    text, why = FAILING[name]
    done = judge(text)
    assert done.returncode != 0, done.stderr
    assert why in done.stderr, done.stderr


@pytest.mark.parametrize("name", [*RETURNED, *UNSEEN])
def test_what_a_level_returns_and_what_nobody_looks_at_is_an_error(name: str, judge: Judge) -> None:
    done = judge({**RETURNED, **UNSEEN}[name])
    assert done.returncode != 0, done.stderr
    said = "load returned " if name in RETURNED else "load has AssertionError in a "
    assert f"smoke: {said}" in done.stderr, done.stderr


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
        import asyncio, concurrent.futures, sys, threading
        def fail(): raise ValueError
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
        async def load():
            threads(); futures()
            try: await asyncio.to_thread(fail)
            except ValueError: pass
        """
    done = judge(text)
    assert done.returncode == 0, done.stderr


def test_what_goes_wrong_inside_a_package_is_its_own_affair(judge: Judge) -> None:
    target = 'json.loads, args=("",)'
    done = judge(f"import json, threading\ndef load():{IN_A_THREAD.format(target)}")
    assert done.returncode == 0, done.stderr
    assert "JSONDecodeError" in done.stderr


@pytest.mark.parametrize("level", ["1", "2"])
def test_asserts_count_with_every_flag_of_python(level: str, judge: Judge) -> None:
    done = judge("def load(): assert False", PYTHONOPTIMIZE=level)
    assert done.returncode == 1 and "load failed" in done.stderr


def test_a_smoke_that_hangs_is_ended_with_what_it_started(judge: Judge) -> None:
    seconds = str(10**6 + os.getpid())
    text = f"""
        import subprocess, time
        def load():
            subprocess.Popen(['sleep', '{seconds}'])
            time.sleep(3600)
        """
    done = far_enough(lambda limit: judge(text, limit=limit), lambda done: "in load" in done.stderr)
    assert done.returncode == 1, done.stderr
    left = subprocess.run(["pgrep", "-f", f"sleep {seconds}"], capture_output=True, check=False)
    assert left.stdout == b""
