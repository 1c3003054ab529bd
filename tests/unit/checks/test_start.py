"""The program that starts an image's command once, run on commands of this machine."""

import json
import re
import sys
import threading
import time
from collections.abc import Sequence
from textwrap import dedent
from typing import Any

import pytest
from tests.engine.registries import free_port
from tests.patience import far_enough, wait_for
from tests.ran import ran
from tests.unit.fleets import planned, service

from slimbake.checks.start import _checked, _silence, deaf, without_compose
from slimbake.docker.containers import Contained, Detached
from slimbake.inside import from_stdin, with_check_pyz
from slimbake.inside.check import pace, start
from slimbake.inside.check.pace import Effort
from slimbake.inside.check.start import check_start


def asked(code: str, port: int | None = None, limit: float = 600, **said: Any) -> Any:
    """What the program says of `python -c CODE`."""
    command = [sys.executable, "-c", dedent(code)]
    given = {"command": command, "port": port, "limit": limit, "alive": 5, "health": (), **said}
    words = [sys.executable, *from_stdin("start", json.dumps(given))]
    done = ran(words, input=with_check_pyz(), check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("own", "waits"), [("", "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_without_a_core(own: str, waits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    found = asked("import os, sys; sys.exit(os.environ['OMP_WAIT_POLICY'])", alive=60)
    assert found == {"error": "ended with exit code 1", "words": waits}


@pytest.fixture
def port() -> int:
    return free_port()


LISTENS = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(3600)"


SERVES = "import socket, time; s = socket.create_server(('', {port})); time.sleep(3600)"


def test_a_command_that_listens_starts(port: int) -> None:
    assert asked(SERVES.format(port=port), port, alive=1) == {}


@pytest.mark.parametrize("code", ["import time; time.sleep(3600)", "while True: pass", "exit(0)"])
def test_a_command_that_lives_or_ends_well_starts(code: str) -> None:
    assert asked(code, alive=0.5) == {}


def test_a_command_that_never_listens_does_not_start(port: int) -> None:
    hangs = "import time; print('loading', flush=True); time.sleep(3600)"
    late = far_enough(
        lambda limit: asked(hangs, port, limit), lambda found: found["words"] == "loading"
    )
    assert late["error"].startswith(f"does not listen on port {port}")  # others may
    assert late["words"] == "loading"


def test_a_command_that_waits_for_a_core_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine an import that fails does so late."""
    began = time.perf_counter()

    def starving(_: int) -> Effort:
        seconds = time.perf_counter() - began
        return Effort(0.01 * seconds, {"1": 0.99 * seconds}, False)

    monkeypatch.setattr(pace, "effort", starving)
    late = [sys.executable, "-c", "import time; time.sleep(1.5); raise ImportError"]
    assert check_start(late, None, 600, 0.5)["error"] == "ended with exit code 1"
    monkeypatch.setattr(pace, "effort", lambda _: Effort(0.0, {}, False))
    idle = [sys.executable, "-c", "import time; time.sleep(3600)"]
    assert check_start(idle, None, 600, 0.5) == {}


LOADS = """
import signal, time
until = time.process_time() + 2
while time.process_time() < until:
    pass
signal.signal(signal.SIGTERM, print)
time.sleep(3600)
"""


def test_a_command_that_is_busy_may_handle_signals_later() -> None:
    assert check_start([sys.executable, "-c", LOADS], None, 600, 0.5, "SIGTERM") == {}
    busy = [sys.executable, "-c", "while True: pass"]
    assert check_start(busy, None, 600, 0.5, "SIGTERM") == {}


PARENT = """
import socket, subprocess, sys, time
server = socket.create_server(("", {port}))
worker = subprocess.Popen([sys.executable, "-c", {code!r}], pass_fds=[server.fileno()])
worker.wait()
sys.exit("worker failed to boot")
"""


def test_a_server_whose_workers_fail_does_not_start_although_it_listens(port: int) -> None:
    code = "import time; time.sleep(1.5); raise ValueError('no locale')"
    found = asked(PARENT.format(port=port, code=code), port, alive=1)
    assert found["error"] == f"ended with exit code 1 before it answered on port {port}"
    assert "ValueError: no locale" in found["words"]


def test_a_server_of_another_protocol_starts(port: int) -> None:
    code = "import socket; s = socket.create_server(('', {port})); c, _ = s.accept(); c.send(b'x')"
    assert asked(f"{code.format(port=port)}; import time; time.sleep(60)", port, alive=1) == {}


BUSY = "import socket; s = socket.create_server(('', {port}))\nwhile True: pass"
LOOPBACK = "listens on port {port} of the container's loopback only: bind it to 0.0.0.0"


@pytest.mark.parametrize(
    ("code", "seconds", "error"),
    [
        ("exit(0)", {"alive": 5}, "ended with exit code 0 before it listened on port {port}"),
        (BUSY, {"alive": 1, "limit": 3}, "listens on port {port}, and answers nothing there"),
        (LISTENS, {"alive": 0.5}, LOOPBACK),
    ],
)
def test_a_command_that_serves_nobody_does_not_start(
    code: str, seconds: dict[str, float], error: str, port: int
) -> None:
    found = asked(code.format(port=port), port, **seconds)
    assert found["error"] == error.format(port=port)


def test_another_port_is_named(port: int) -> None:
    found = asked(SERVES.format(port=port), port + 1, alive=0.5)
    assert found["error"].startswith(f"does not listen on port {port + 1} but on ")
    assert found["fault"] == "other port"
    assert str(port) in re.split(r"\D+", found["error"])


@pytest.mark.parametrize(
    ("command", "port", "error", "fault"),
    [
        (["/nowhere/uvicorn"], 8000, "cannot be run: ", "no program"),
        ([__file__], None, "cannot be run: ", "not executable"),
        ([], 8000, "is missing: neither the manifest nor the image has one", "no command"),
    ],
)
def test_a_command_that_cannot_run_fails(
    command: list[str], port: int | None, error: str, fault: str
) -> None:
    outcome = check_start(command, port, 5, 1)
    assert outcome["error"].startswith(error) and outcome["fault"] == fault
    assert outcome.get("program", "") == "".join(command)


@pytest.mark.parametrize(
    ("health", "lacks"),
    [
        ((), ""),
        ((sys.executable,), ""),
        ((sys.executable, __file__), ""),
        ((sys.executable, "-c"), ""),
        (("curl-of-no-image", "-f"), "curl-of-no-image"),
        ((sys.executable, "/app/health.py"), "/app/health.py"),
    ],
)
def test_a_healthcheck_without_its_program_fails_at_once(health: Sequence[str], lacks: str) -> None:
    found = asked("exit(0)", alive=1, health=health)
    expected = {"error": f"cannot be run: the image has no {lacks}", "fault": "healthcheck"}
    assert found == (expected if lacks else {})


HANDLES = "import signal, time; signal.signal(signal.SIGTERM, print); time.sleep(3600)"


@pytest.mark.parametrize(
    ("command", "deaf"),
    [
        ([sys.executable, "-c", HANDLES], None),
        ([sys.executable, "-c", "import time; time.sleep(3600)"], False),
        (["sh", "-c", f"exec {sys.executable} -c '{HANDLES}'"], None),
        (["sh", "-c", f"{sys.executable} -c '{HANDLES}'; true"], True),
        (["sh", "-c", f"{sys.executable} -c 'import time; time.sleep(3600)'; true"], False),
        ([sys.executable, "-c", ""], None),
    ],
)
def test_a_first_process_deaf_to_signals_is_found(command: list[str], deaf: bool | None) -> None:
    assert check_start(command, None, 600, 1, "SIGTERM") == ({} if deaf is None else {"deaf": deaf})
    assert check_start(command, None, 600, 1, "SIGKILL") == check_start(command, None, 600, 1) == {}


@pytest.mark.parametrize(("said", "warns"), [({}, False), ({"deaf": False}, True)])
def test_a_service_that_handles_its_stop_signal_has_no_warning(
    said: dict[str, bool], warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Contained(0, f"{json.dumps(said)}\n", "", False)
    monkeypatch.setattr("slimbake.checks.start.contained", lambda *_: ended)
    [running] = planned(service("api", command=("python", "-m", "api"))).services
    request = {"command": running.command, "port": None, "limit": 1, "alive": 1, "stop": "SIGTERM"}
    found = _checked("sha256:1", running, request, (), lambda _: None)
    assert (found.why, bool(found.warning)) == ("", warns)


def test_what_to_do_about_a_service_that_no_signal_ends() -> None:
    asked = {"command": ["sh", "-c", "gunicorn app:app"], "stop": "SIGTERM"}
    assert deaf("api", asked, None) == ""
    said = "warning: api: its first process, `sh -c 'gunicorn app:app'`, does not handle SIGTERM"
    waits = f"{said}: `docker stop` waits 10 s and then kills it; "
    assert deaf("api", asked, True) == (
        f"{waits}begin the command with `exec`, or write it as a list"
    )
    assert deaf("api", asked, False) == (
        f'{waits}handle SIGTERM, or put tini in the image (`system: [tini]`) and use `entrypoint: [tini, "--"]`'
    )


@pytest.mark.parametrize(
    ("code", "lines", "shown"),
    [
        (None, [], ["api: still starting after 0 s; it has written nothing"]),
        (
            None,
            ["PermissionError: [Errno 13] Permission denied: '/app/db.sqlite3'"],
            [
                "api: still starting after 0 s; its last lines:\n"
                "  PermissionError: [Errno 13] Permission denied: '/app/db.sqlite3'\n"
                "it cannot write to /app/db.sqlite3: a container is read-only but for /tmp, `tmpfs`"
                " and `volumes`; let it write to one of these, such as `tmpfs: [/var/cache/NAME]`"
            ],
        ),
        (1, ["gone"], []),
    ],
)
def test_a_start_that_takes_long_is_shown(
    code: int | None, lines: list[str], shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def state(_: Detached) -> tuple[int | None, int]:
        looked.set()
        return code, 0

    monkeypatch.setattr("slimbake.checks.start.SILENT", 0.0)
    monkeypatch.setattr(Detached, "state", state)
    monkeypatch.setattr(Detached, "last_lines", lambda _: lines)
    said: list[str] = []
    with _silence("name", "api", said.append):
        assert looked.wait(60)
        wait_for(lambda: said == shown, "what is shown")


def test_a_start_check_without_compose_knows_what_compose_would_fill_in_by_default() -> None:
    written = {"PLAIN": "a b", "DEFAULT": "http://${HOST:-search}:${PORT-80}"}
    written |= {"DOLLAR": "$$HOME", "SHELL": "${TOKEN}", "BARE": "$TOKEN"}
    known = {"PLAIN": "a b", "DEFAULT": "http://search:80", "DOLLAR": "$HOME"}
    assert without_compose((*written.items(),)) == known


RELOADER = """
import subprocess, sys, time
subprocess.run([sys.executable, "-c", "import nowhere"])
time.sleep(3600)
"""
LOOP = """
import subprocess, sys
while True:
    subprocess.run([sys.executable, "-c", "import nowhere"])
"""


@pytest.mark.parametrize("code", [RELOADER, LOOP])
def test_a_supervisor_that_survives_a_traceback_ends_soon_after_it(
    code: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "CRASHED", 3.0)
    began = time.perf_counter()
    found = check_start([sys.executable, "-c", code], port, 600, 0.5)
    assert found["error"].endswith(f"does not answer on port {port} 3 s later") or (
        found["error"].startswith("does not listen")  # others may, on this machine
    )
    assert "Traceback" in found["words"]
    assert "ModuleNotFoundError: No module named 'nowhere'" in found["words"]
    assert time.perf_counter() - began < 60


CAUGHT = """
import logging, socket, time
for reason in ("no GPU", "no kernel"):
    try:
        raise OSError(reason)
    except OSError:
        logging.exception("another way is taken")
until = time.process_time() + 2
while time.process_time() < until:
    pass
s = socket.create_server(("", {port}))
time.sleep(3600)
"""


def test_a_service_that_catches_what_it_logs_may_load_for_long(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "CRASHED", 0.2)
    assert check_start([sys.executable, "-c", CAUGHT.format(port=port)], port, 600, 5) == {}
