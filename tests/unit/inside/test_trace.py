"""Which commands are traced, and that what they use is seen."""

from __future__ import annotations

import functools
import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slimbake.inside.check import trace
from slimbake.inside.check.trace import UntraceableError, python_program

SCRIPT = "#!/opt/slimbake/bin/python\n# -*- coding: utf-8 -*-\nimport helper\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the service's code lies, with a folder of programs that is on PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path / "app")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "app/app.py").write_text("")
    executable(tmp_path / "bin/uvicorn", SCRIPT.encode())
    return tmp_path


def executable(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


@pytest.mark.parametrize("python", ["python", "python3", "python3.11", "/usr/local/bin/python"])
@pytest.mark.parametrize("options", [[], ["-u"], ["-u", "-B"]])
def test_a_module_is_run_as_python_does(python: str, options: list[str], folder: Path) -> None:
    run, first, arguments = python_program([python, *options, "-m", "app", "--port", "80"])
    assert isinstance(run, functools.partial) and run.func is runpy.run_module
    assert (first, arguments) == (folder / "app", ["app", "--port", "80"])


def test_a_file_is_run_from_its_own_folder(folder: Path) -> None:
    (folder / "link.py").symlink_to("app/app.py")
    assert python_program(["python", "app.py", "-m", "x"]) == (
        runpy.run_path,
        folder / "app",
        ["app.py", "-m", "x"],
    )
    assert python_program(["python", "../link.py"]) == (
        runpy.run_path,
        folder / "app",
        ["../link.py"],
    )


def test_a_script_is_found_on_the_path_and_run_as_a_file(folder: Path) -> None:
    script = str(folder / "bin/uvicorn")
    expected = runpy.run_path, folder / "bin", [script, "-m", "app:app"]
    assert python_program(["uvicorn", "-m", "app:app"]) == expected
    assert python_program([script, "-m", "app:app"]) == expected


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["start"], "start is not there"),
        (["binary", "x"], "/bin/binary is no script of Python"),
        (["shell"], "/bin/shell is no script of Python"),
        (["python"], "python names neither a module nor a file that is there"),
        (["python", "-m"], "python -m names neither a module nor a file that is there"),
        (["python", "-c", "import app"], "python -c import app names neither"),
        (["python", "-X", "dev", "-m", "app"], "python -X dev -m app names neither"),
        (["python", "missing.py"], "python missing.py names neither"),
    ],
)
def test_what_is_no_program_of_python_is_not_run_and_named(
    command: list[str], said: str, folder: Path
) -> None:
    executable(folder / "bin/binary", b"\x7fELF" + bytes(range(256)))
    executable(folder / "bin/shell", b"#!/bin/sh\nexec python -m app\n")
    with pytest.raises(UntraceableError) as raised:
        python_program(command)
    assert said in str(raised.value)


# In a process of its own: a hook of Python's audit stays. The tests lie in /tmp, and run as whom
# they do.
TRACED = """
import sys, types
from pathlib import Path
from slimbake.inside.check import trace
trace.PREFIX, trace._NOT_FILES = Path(sys.argv[1]), ("/proc/",)
trace.smoke = types.SimpleNamespace(become_nonroot=lambda: None)
trace.run_trace([])
"""
SERVER = """
import http.server, sys
sys.path.insert(0, "")
import app
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def traced(folder: Path, command: list[str], port: int | None = None) -> dict[str, Any]:
    (folder / "prefix/lib/python3.11/site-packages").mkdir(parents=True)
    words = [sys.executable, "-c", TRACED, str(folder / "prefix")]
    environment = {**os.environ, "PYTHONPATH": str(Path(trace.__file__).parents[3])}
    given = json.dumps({"command": command, "port": port})
    said = subprocess.check_output(words, input=given, env=environment, text=True)
    return dict(json.loads(said.splitlines()[-1]))


def test_what_a_script_uses_that_serves_is_seen(folder: Path) -> None:
    """What it imports from beside it, and the app that it imports by its name."""
    executable(folder / "bin/serve", f"{SCRIPT}{SERVER}".encode())
    (folder / "bin/helper.py").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = traced(folder, ["serve", str(port)], port)
    assert (told["held"], told["untraced"]) == (True, "")
    assert {str(folder / path) for path in ("bin/serve", "bin/helper.py", "app/app.py")} <= told[
        "elsewhere"
    ].keys()


def test_what_a_file_uses_is_seen_to_its_end(folder: Path) -> None:
    (folder / "app/job.py").write_text(
        "import sys, app\nassert sys.argv == ['job.py', 'now']\nimport last\n"
    )
    (folder / "app/last.py").write_text("")
    told = traced(folder, ["python", "job.py", "now"])
    assert (told["held"], told["untraced"]) == (True, "")
    assert {str(folder / "app" / name) for name in ("job.py", "app.py", "last.py")} <= told[
        "elsewhere"
    ].keys()


def test_an_answer_says_why_a_command_was_not_traced(folder: Path) -> None:
    told = traced(folder, ["start", "now"], 80)
    assert (told["held"], told["untraced"]) == (False, "start is not there")
