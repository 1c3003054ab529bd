"""The program that runs a service's verify beside the service, run as a process as the container
does it.
"""

import json
import os
import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.engine.registries import free_port
from tests.patience import far_enough
from tests.ran import ran
from tests.unit.fleets import planned, service

from slimbake.checks.verify import ARGUMENTS, Limit, _verdict, given
from slimbake.config.model import StartCheck
from slimbake.docker.containers import Contained
from slimbake.inside import with_check_pyz

Run = Callable[..., dict[str, Any]]

SERVES = """
import http.server, json, os, signal, sys, time, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/die":
            sys.stderr.write("out of luck\\n"); sys.stderr.flush(); os._exit(3)
        if self.path == "/behind":
            with urllib.request.urlopen(os.environ["BEHIND_URL"] + "/asked?a=1", b'{"n": 1}') as answer:
                body = answer.read()
        elif self.path == "/env":
            body = json.dumps({"pid": os.getpid(), "word": os.environ.get("WORD")}).encode()
        else:
            body = b'{"path": "%s"}' % self.path.encode()
        self.send_response(404 if self.path == "/none" else 200)
        if self.path == "/stream":
            self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            for word in (b"one", b"two"): self.wfile.write(b"3\\r\\n" + word + b"\\r\\n")
            self.wfile.write(b"0\\r\\n\\r\\n"); return
        self.send_header("Content-Length", str(len(body) + 5 * (self.path == "/cut"))); self.end_headers()
        self.wfile.write(body); self.close_connection = True
    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.end_headers(); self.wfile.write(sent); self.close_connection = True
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a verify of this text on a service of that text; what was found, and what was said
    besides.
    """

    def call(
        check: str,
        serves: str = SERVES,
        *,
        listens: bool = True,
        limit: float = 600.0,
        stop: str = "",
        env: Mapping[str, str] = {},
    ) -> dict[str, Any]:
        port = free_port()
        (tmp_path / "serves.py").write_text(dedent(serves).replace("PORT", str(port)))
        (tmp_path / "verify.py").write_text(dedent(check))
        command = [sys.executable, "-S", str(tmp_path / "serves.py")]
        question = {
            "source": dedent(check),
            "name": "app/verify.py",
            "command": command,
            "fixed": 3,
            "port": port if listens else None,
            "env": dict(env),
            "limit": limit,
            "stop": stop,
        }
        done = ran(
            [sys.executable, *ARGUMENTS],
            input=with_check_pyz(json.dumps(question)),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        (line,) = done.stdout.splitlines()
        found = dict(json.loads(line))
        assert done.returncode == (0 if found["holds"] else 1)
        assert found["holds"] == (not found["error"])
        return {**found, "said": done.stderr}

    return call


def test_a_verify_that_holds_says_how_long_the_start_took(run: Run) -> None:
    found = run("""
        def verify(service):
            print("checking")
            assert service.get("/a").json() == {"path": "/a"}
            assert service.get("/none").status == 404
            assert service.post("/", {"ü": 1}).text == '{"\\\\u00fc": 1}'
            assert service.post("/", body=b"raw").body == b"raw"
            streamed = service.get("/stream")
            assert streamed.pieces == (b"one", b"two") and streamed.headers["transfer-encoding"] == "chunked"
        """)
    assert found["error"] == ""
    assert found["startup"] > 0
    assert "checking\n" in found["said"] and "serving\n" in found["said"]


def test_variables_of_start_reach_the_service_and_its_verify(run: Run) -> None:
    check = """
        def verify(service):
            service.env["B"] = "other"
            assert service.run().stdout == "a other"
        """
    serves = "import os; print(os.environ.get('A'), os.environ.get('B'), end='')"
    assert run(check, serves, listens=False)["error"]
    assert not run(check, serves, listens=False, env={"A": "a", "B": "b"})["error"]


def test_a_verify_has_variables_of_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verify.py").write_text("")
    image = types.SimpleNamespace(entrypoint=(), command=("serve",))
    monkeypatch.setattr("slimbake.docker.engine_image", lambda _: image)
    asked = service("api", verify="verify.py", start=StartCheck("runs", env=(("A", "a"),)))
    [running] = planned(replace(asked, context=".")).services
    question = given(running, "image", tmp_path)
    assert json.loads(question.splitlines()[-1])["env"] == {"A": "a"}


def test_a_verify_that_fails_says_where(run: Run) -> None:
    found = run("""
        def verify(service):
            compare(service.get("/a").json())

        def compare(answer):
            assert answer == {"path": "/b"}, answer
        """)
    assert [line for line in found["error"].splitlines() if set(line) - set(" ^~")] == [
        '  File "app/verify.py", line 3, in verify',
        '    compare(service.get("/a").json())',
        '  File "app/verify.py", line 6, in compare',
        '    assert answer == {"path": "/b"}, answer',
        "AssertionError: {'path': '/a'}",
        "its last words:",
        "  serving",
    ]


def test_a_verify_that_hangs_is_cut_off_and_says_where(run: Run) -> None:
    hangs = """
        import time
        def verify(service):
            service.get("/a")
            time.sleep(3600)
        """
    found = far_enough(
        lambda limit: run(hangs, limit=limit), lambda found: "line 5 in verify" in found["said"]
    )
    assert re.fullmatch("it has not ended within [0-9]+ s", found["error"])
    assert not found["explained"]
    assert 'File "app/verify.py", line 5 in verify' in "\n".join(found["said"].splitlines()[-12:])


def test_a_service_that_never_listens_is_distinguished_from_a_check_that_hangs(run: Run) -> None:
    serves = "import time\nprint('loading', flush=True)\ntime.sleep(3600)"
    found = far_enough(
        lambda limit: run("def verify(service): service.get('/')", serves, limit=limit),
        lambda found: "loading" in found["said"],
    )
    assert "in start" in found["said"]


def test_a_service_that_listens_elsewhere_is_reported(run: Run) -> None:
    serves = f"port = {free_port()}\n{SERVES.replace('PORT', 'port')}"
    found = run("def verify(service): service.get('/')", serves)
    assert re.fullmatch(
        r"it does not listen on port \d+ but on .*\nits last words:\n  serving", found["error"]
    )
    assert found["words"] == ["serving"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["Permission denied: '/var/x'"], "\nit cannot write to /var/x: "),
        (["RuntimeError: TOKEN is not set"], "\nif a variable is not set: "),
        (["serving"], ""),
    ],
)
def test_the_last_words_of_a_service_say_what_to_do(words: list[str], hint: str) -> None:
    [running] = planned(service("api")).services
    said = {"holds": False, "error": "it failed", "explained": True, "startup": None}
    done = Contained(1, json.dumps({**said, "words": words}), "", False)
    found = _verdict(running, done, Limit()).error
    assert found.startswith(f"it failed{hint}") and bool(hint) == (found != "it failed")


def test_a_service_that_dies_at_its_start_is_reported_with_its_last_words(run: Run) -> None:
    found = run(
        "def verify(service): service.get('/')", "import sys\nsys.exit('DATABASE: is not set')"
    )
    first, *rest = found["error"].splitlines()
    assert first.startswith(
        "it does not start: the service ended with exit code 1 before it listened on"
    )
    assert rest == ["its last words:", "  DATABASE: is not set"]


def test_a_service_that_dies_on_a_request_is_reported_with_its_last_words(run: Run) -> None:
    found = run("def verify(service): service.get('/die')")
    assert found["error"].splitlines()[-4:] == [
        "the service ended with exit code 3",
        "its last words:",
        "  serving",
        "  out of luck",
    ]
    assert "line 1, in verify" in found["error"]


def test_a_service_that_dies_behind_the_back_of_its_verify_is_found_out(run: Run) -> None:
    found = run("""
        import contextlib
        def verify(service):
            with contextlib.suppress(Exception):
                service.get("/die")
        """)
    assert found["error"].startswith("the service ended with exit code 3")


def test_an_answer_that_is_cut_off_is_no_answer(run: Run) -> None:
    error = run("def verify(service): service.get('/cut')")["error"]
    assert "IncompleteRead" in error and error.endswith("its last words:\n  serving")


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        ("lambda *_: None", "it did not end within 5 s of SIGTERM"),
        ("signal.SIG_DFL", "it has no handler for SIGTERM: process 1 of a container ignores it"),
    ],
)
def test_a_service_deaf_to_its_container_s_end_fails(handler: str, error: str, run: Run) -> None:
    serves = SERVES.replace("lambda *_: os._exit(0)", handler)
    found = run("def verify(service): service.get('/')", serves)
    assert found["error"] == f"{error}\nits last words:\n  serving"


def test_a_service_ends_on_the_signal_that_the_manifest_names(run: Run) -> None:
    check = "def verify(service): service.get('/')"
    assert run(check, SERVES.replace("SIGTERM", "SIGINT"), stop="SIGINT")["error"] == ""
    error = "it has no handler for SIGQUIT: process 1 of a container ignores it"
    assert run(check, stop="SIGQUIT")["error"].startswith(error)


def test_a_service_finds_its_upstreams_and_the_check_what_they_were_asked(run: Run) -> None:
    found = run("""
        import contextlib
        def verify(service):
            behind = service.upstream(lambda method, path, body: {"got": [method, path, body]}, "BEHIND_URL")
            expected = {"got": ["POST", "/asked?a=1", {"n": 1}]}
            assert service.get("/behind").json() == expected
            assert (behind.asked[0].path, behind.asked[0].body) == ("/asked?a=1", {"n": 1})
            behind.down()
            with contextlib.suppress(ConnectionError, OSError):
                assert service.get("/behind").status != 200
            behind.up()
            assert service.get("/behind").json() == expected
        """)
    assert found["error"] == ""


def test_an_upstream_whose_expectation_fails_fails_the_verify(run: Run) -> None:
    found = run("""
        import contextlib
        def answer(method, path, body):
            assert body == {"n": 2}, body
        def verify(service):
            service.upstream(answer, "BEHIND_URL")
            with contextlib.suppress(Exception):
                service.get("/behind")
        """)
    assert "line 4, in answer" in found["error"] and "AssertionError: {'n': 1}" in found["error"]


def test_a_restart_makes_a_new_process_with_the_new_variables(run: Run) -> None:
    found = run("""
        def verify(service):
            before = service.get("/env").json()
            service.env["WORD"] = "new"
            service.restart()
            after = service.get("/env").json()
            assert before["pid"] != after["pid"] and (before["word"], after["word"]) == (None, "new")
        """)
    assert found["error"] == ""


def test_a_command_is_run_as_often_as_wanted(run: Run) -> None:
    found = run(
        """
        def verify(service):
            service.env["GREETING"] = "ähm"
            done = service.run("a", "b", stdin="日本")
            assert (done.code, done.stdout, done.stderr) == (4, "ähm日本", "['a', 'b']"), done
            assert service.run().stderr == "[]"
        """,
        """
        import os, sys
        sys.stdout.buffer.write(os.environ["GREETING"].encode() + sys.stdin.buffer.read())
        sys.stderr.write(str(sys.argv[1:]))
        sys.exit(4)
        """,
        listens=False,
    )
    assert found["error"] == ""
    assert found["startup"] > 0


def test_a_command_does_not_listen(run: Run) -> None:
    found = run("def verify(service): service.get('/')", listens=False)
    assert found["error"] == "a service without a port does not listen: call run()"


@pytest.mark.parametrize(
    ("check", "error"),
    [
        ("def verify(service): ...", "nothing of the service was called: that proves nothing"),
        ("def verified(service): ...", "app/verify.py does not define verify(service)"),
        ("def verify(service): raise SystemExit(0)", "SystemExit: 0"),
        ("import serves", "ModuleNotFoundError: No module named 'serves'"),
        ("def verify(service)", "SyntaxError: expected ':'"),
    ],
)
def test_a_verify_that_checks_nothing_fails(check: str, error: str, run: Run) -> None:
    found = run(check)
    assert found["error"].splitlines()[-1] == error
    assert found["startup"] is None


CALLS = "def verify(service):\n    assert service.get('/a').status == 200\n"
FAILING = {
    "ends at once": ("import os; os._exit(0)", "its process ended with exit code 0"),
    "ends in its middle": (
        "import os\ndef verify(service):\n    service.get('/a')\n    os._exit(0)",
        "its process ended with exit code 0 in verify",
    ),
    "becomes another program": (
        "import os\ndef verify(service): os.execv('/bin/true', ['true'])",
        "in verify",
    ),
    "is a coroutine that fails": ("async def verify(service): assert False", "AssertionError"),
    "is a generator": (
        "def verify(service):\n    yield service.get('/a')",
        "verify returned <generator object verify",
    ),
    "returns False": (
        "def verify(service): return service.get('/a').status == 500",
        "verify returned False",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_verify_that_does_not_run_to_its_end_fails(name: str, run: Run) -> None:
    check, why = FAILING[name]
    found = run(check)
    assert not found["holds"]
    assert why in found["error"], found["error"]


def test_a_verify_may_be_a_coroutine(run: Run) -> None:
    assert run("async def verify(service): assert service.get('/a').status == 200")["holds"]


def test_asserts_count_with_every_flag_of_python(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    assert not run("def verify(service): assert service.get('/a').status == 500")["holds"]
