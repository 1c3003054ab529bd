"""What commands and checks use is seen, by any process."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.programs import written

from slimbake.inside.check import trace
from slimbake.inside.rules import LayerFiles

SCRIPT = f"#!{sys.executable}\n# -*- coding: utf-8 -*-\nimport helper\n"


@pytest.fixture(autouse=True)
def _traces_lie_with_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody removes a trace: it goes with the step of a build that makes it."""
    (tmp_path / "traces").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "traces"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the service's code lies, with a folder of programs that is on PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path / "app")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "app/app.py").write_text("")
    return tmp_path


def executable(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


SERVER = """
import http.server, sys
sys.path.insert(0, "")
import app
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., trace.Trace]:
    """A command of a service, traced; these tests lie in /tmp."""
    monkeypatch.setattr(trace, "_NOT_FILES", ("/proc/",))
    monkeypatch.setattr(sys, "argv", [str(written("check", tmp_path))])

    def run(command: list[str], port: int | None = None) -> trace.Trace:
        made = trace.Trace()
        asked = {"verify": "", "command": command, "fixed": 0, "port": port, "environment": {}}
        trace.trace_service(made, asked, trace.ASKS)
        return made

    return run


def used(found: trace.Trace) -> set[str]:
    return {path for _, path in found.paths()}


def test_what_a_server_uses_is_seen(folder: Path, traced: Callable[..., trace.Trace]) -> None:
    """What it imports from beside it, and the app that it imports by its name."""
    executable(folder / "bin/serve", f"{SCRIPT}{SERVER}".encode())
    (folder / "bin/helper.py").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = traced(["serve", str(port)], port)
    assert found.seen
    assert {str(folder / path) for path in ("bin/serve", "bin/helper.py", "app/app.py")} <= used(
        found
    )


def test_what_a_file_uses_is_seen_whole(folder: Path, traced: Callable[..., trace.Trace]) -> None:
    (folder / "app/job.py").write_text(
        "import sys, app\nassert sys.argv == ['job.py', 'now']\nimport last\n"
    )
    (folder / "app/last.py").write_text("")
    found = traced(["python", "job.py", "now"])
    assert {str(folder / "app" / name) for name in ("job.py", "app.py", "last.py")} <= used(found)


@pytest.mark.parametrize("command", [["start", "now"], ["shell"], ["python", "-I", "app.py"]])
def test_what_runs_no_python_that_reports_is_not_seen(
    command: list[str], folder: Path, traced: Callable[..., trace.Trace]
) -> None:
    executable(folder / "bin/shell", b"#!/bin/sh\nexit 0\n")
    assert not traced(command).seen


def test_python_in_a_shell_is_traced(folder: Path, traced: Callable[..., trace.Trace]) -> None:
    executable(folder / "bin/shell", b"#!/bin/sh\nexec python -m app\n")
    found = traced(["shell"])
    assert found.seen
    assert str(folder / "app/app.py") in used(found)


def test_the_sitecustomize_of_an_image_still_runs(
    folder: Path, traced: Callable[..., trace.Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own").mkdir()
    (folder / "own/sitecustomize.py").write_text("import sys\nsys.ours = True\n")
    (folder / "app/job.py").write_text("import sys\nassert sys.ours\nimport app\n")
    monkeypatch.setenv("PYTHONPATH", str(folder / "own"))
    found = traced(["python", "job.py"])
    assert {str(folder / "app/app.py"), str(folder / "own/sitecustomize.py")} <= used(found)


def test_what_is_used_again_is_nothing_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a job that is run time and again is traced once it has used all that it does."""
    monkeypatch.setattr(trace, "_NOT_FILES", ("/proc/",))
    seen = trace.Trace()

    def distinct_after(module: str) -> int:
        words = [sys.executable, "-c", f"import {module}"]
        subprocess.run(words, env=seen.environment, check=True)
        return seen.distinct()

    once = distinct_after("app")
    assert distinct_after("app") == once > 0
    (folder / "app/more.py").write_text("")
    assert distinct_after("more") > once


@pytest.mark.parametrize("listens", [True, False])
def test_a_check_of_a_listening_server_has_less_time(folder: Path, listens: bool) -> None:
    """What it asks for the hundredth time uses nothing new."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limit = 8 * trace.SERVES
    server = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", server]) as check:
        trace._watch(check, trace.Trace(), limit, limit, port if listens else None)
        check.kill()
    assert (time.monotonic() - began < limit) is listens


def test_a_traced_verify_has_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/verify.py").write_text("")
    given: list[str] = []
    monkeypatch.setattr(trace, "INSIDE", tmp_path)
    monkeypatch.setattr(trace, "PREFIX", tmp_path / "none")
    monkeypatch.setattr(trace, "_check", lambda *said, **_: given.append(said[2]))
    monkeypatch.setenv("HOME", "/")
    asked = {"smoke": False, "verify": "verify.py", "command": ["serve"], "fixed": 0, "port": None}
    trace._starts({**asked, "environment": {"TOKEN": "none"}})
    assert [json.loads(each)["env"] for each in given] == [{"TOKEN": "none"}]


def test_whoever_is_traced_keeps_bytecode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept := tmp_path / "bytecode/prefix").mkdir(parents=True, mode=0o755)
    monkeypatch.setattr(trace, "BYTECODE", tmp_path / "bytecode")
    monkeypatch.setattr(trace, "PREFIX", Path("/prefix"))
    monkeypatch.setattr(trace, "_starts", dict)
    monkeypatch.setenv("TRACED", "{}")
    trace.trace_starts([str(tmp_path / "traced.json")])
    assert kept.stat().st_mode & 0o7777 == 0o1777


def test_a_start_names_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What imports and lists modules opens nothing by its path: a cold store serves that."""
    monkeypatch.setattr(trace, "_NOT_FILES", ("/proc/",))
    site = tmp_path / "lib/python3.11/site-packages"
    listed = ("__init__", "one", "cold", "read", "opened", "sub/__init__", "sub/mod", "walked/a")
    for name in listed:
        (site / f"thing/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (site / f"thing/{name}.py").write_text("")
    (site / "thing-1.dist-info").mkdir()
    (site / "thing-1.dist-info/RECORD").write_text("".join(f"thing/{n}.py,,\n" for n in listed))
    program = (
        "import inspect, linecache, os, pkgutil, thing.one, thing.read\n"
        "linecache.getlines(thing.read.__file__), open(thing.one.__file__[:-6] + 'opened.py')\n"
        "list(pkgutil.walk_packages(thing.__path__, 'thing.')), os.listdir(thing.__path__[0] + '/walked')\n"
    )
    seen = trace.Trace()
    environment = {**seen.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] += f"{os.pathsep}{site}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=environment, check=True)
    found = trace._of_packages(seen, LayerFiles.of_image(tmp_path))
    assert {*found["modules"]} == {
        *("thing/__init__.py", "thing/one.py", "thing/read.py", "thing/sub/__init__.py"),
        *("thing/opened.py text", "thing/walked/"),
    }
    assert found["read"] == ["thing/read.py"] and {*found["modules"].values()} == {"thing"}
