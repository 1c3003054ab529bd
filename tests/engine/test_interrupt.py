"""A bake that is ended in its middle leaves nothing half done, and the same command goes on from
there.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Toy, docker
from tests.engine.toys import SMOKE, dangling, held, write
from tests.patience import wait_for

from slimbake.docker.containers import OWNER

pytestmark = pytest.mark.slow

# Does not end by itself: who waits for it waits for ever. Its own limit would end it as well.
SLOW = """
import faulthandler, time

def load():
    faulthandler.cancel_dump_traceback_later()
    print("smoke: half way", flush=True)
    time.sleep(86400)
"""


@pytest.fixture
def slow(toy: Toy) -> Toy:
    """A service whose smoke does not end; the project's name is in the environment of each of its
    processes.
    """
    write(toy, "one")
    toy.file("one/smoke.py", SLOW)
    toy.edit("context: one", f"context: one\n    env: {{TOY: {toy.project}}}")
    return toy


def interruptible() -> None:
    """Undo what a shell does to a job in the background, or nohup, as which these tests may run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def started(toy: Toy, *words: str, **how: Any) -> subprocess.Popen[str]:
    """A command, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "slimbake", *words],
        cwd=toy.root,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
        **how,
    )


@contextmanager
def half_way(toy: Toy) -> Iterator[subprocess.Popen[str]]:
    """A bake while its smoke runs."""
    with started(toy, "bake", stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "half way" in line:
                break
        engine_clients = children(process.pid)
        try:
            yield process
        finally:
            for pid in (process.pid, *engine_clients):  # docker outlives what started it
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The processes that a process has started, each with a session of its own."""
    found = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for text in found for child in text.split()]


def in_environment(text: str) -> Callable[[], bool]:
    """Whether no process of this machine, in a container or not, has this text in its environment."""

    def none() -> bool:
        found = [
            path for path in Path("/proc").glob("[0-9]*/environ") if text.encode() in read(path)
        ]
        return not found

    def read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError:  # it has ended
            return b""

    return none


def whole(toy: Toy) -> None:
    """No file of the fleet is a half-written one, and none in the engine is without a name."""
    assert [path for path in toy.root.rglob(".*.*") if path.is_file()] == []
    assert toy.slimbake("check").code == 0
    assert dangling(toy) == ""


def goes_on(toy: Toy) -> None:
    """With a smoke that ends, the same command does."""
    toy.file("one/smoke.py", SMOKE)
    toy.done("bake")
    assert docker("run", "--rm", toy.image("one")) == "one\n"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_bake_ends_the_build_and_moves_no_tag(
    slow: Toy, kind: signal.Signals
) -> None:
    with half_way(slow) as process:
        os.killpg(process.pid, kind)
        _, stderr = process.communicate()
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "interrupted: the same command goes on from here"
    wait_for(in_environment(slow.project), "the end of the engine's step")
    assert held(slow.image("one")) == ""
    whole(slow)
    goes_on(slow)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_containers_of_a_check_that_was_ended_are_gone(toy: Toy, kind: signal.Signals) -> None:
    """At once where slimbake can remove them, else with the next command."""
    write(toy, "one")
    runs = "command: [python, -m, app]"
    never = "port: 8000\n    command: [python, -c, 'import time; time.sleep(86400)']"
    toy.edit(runs, never)

    def containers(pid: int) -> str:
        return docker(
            "ps", "--all", "--quiet", f"--filter=label={OWNER}={socket.gethostname()}/{pid}"
        )

    with started(toy, "bake", stdout=subprocess.DEVNULL, start_new_session=True) as process:
        wait_for(lambda: containers(process.pid) != "", "the container of the start check")
        process.send_signal(kind)
        process.communicate()
    if kind == signal.SIGKILL:
        toy.edit(never, runs)
        toy.done("bake")
    else:
        assert process.returncode == 130
    assert containers(process.pid) == ""


def test_prune_removes_what_a_killed_process_left_running_and_nothing_else(toy: Toy) -> None:
    write(toy, "one")
    assert toy.slimbake("bake").code == 0
    code = (
        "import sys; from slimbake.docker.containers import contained\n"
        "words = ('--entrypoint=python', sys.argv[2], '-c', 'import time; time.sleep(86400)')\n"
        "contained(sys.argv[1], words, '', 86400)"
    )

    def containers() -> set[str]:
        listed = ("ps", "--all", f"--filter=name={toy.project}-", "--format={{.Names}}")
        return set(docker(*listed).split())

    killed, alive = (f"{toy.project}-{what}" for what in ("killed", "alive"))
    left = {
        name: subprocess.Popen([sys.executable, "-c", code, name, toy.image("one")])
        for name in (killed, alive)
    }
    try:
        wait_for(lambda: containers() == {killed, alive}, "both containers")
        left[killed].kill()
        left[killed].wait()
        toy.done("prune")
        # `prune` of a test beside this one may have been first: all of them see to it
        wait_for(lambda: containers() == {alive}, f"the end of {killed} alone")
    finally:
        for name, process in left.items():
            process.kill()
            process.wait()
            docker("rm", "--force", name)
