"""Daily life on a machine like a Mac: no /proc, nothing that Linux alone has, an engine behind a
forwarded socket, which sees no folder of the repository. All paths have spaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import fleet
from tests.macos import Mac, RefusedError, macos

from slimbake import docker

APP = """\
import signal, sys, time
import six
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
while __name__ == "__main__":
    time.sleep(1)
"""
MANIFEST = """\
services:
  app: {context: app, command: [python, -m, app], requirements: [six], smoke: smoke.py}
"""
ENGINE = "/var/run/docker.sock"


@pytest.fixture(scope="module")
def mac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mac]:
    """The machine, its fleet locked here."""
    with contextlib.ExitStack() as stack:
        toy = stack.enter_context(fleet(tmp_path_factory.mktemp("repository")))
        files = {
            "app/app.py": f"{APP}# {toy.project}\n",
            "app/smoke.py": "def load(): import app\n",
        }
        toy.write(MANIFEST, files)
        try:
            yield stack.enter_context(macos(toy.root))
        except RefusedError as error:
            pytest.skip(f"the kernel refuses a namespace of mounts: {error}")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True  # a client that keeps its connection holds nothing up


@pytest.fixture(scope="module", autouse=True)
def engine_behind_a_socket(mac: Mac) -> Iterator[None]:
    """Have DOCKER_HOST name a socket that is passed on to the engine, as Docker Desktop does."""
    folder = mac.shared / "engine of mine"
    folder.mkdir()
    address = f"{folder}/docker.sock"
    with (
        pytest.MonkeyPatch.context() as patch,
        _Server(address, _Forwarded) as server,
    ):
        patch.setenv("DOCKER_HOST", f"unix://{address}")
        threading.Thread(target=server.serve_forever).start()
        yield
        server.shutdown()


class _Forwarded(socketserver.BaseRequestHandler):
    """A connection that is passed on to the engine, both ways."""

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(ENGINE)
            answers = threading.Thread(target=_copy, args=(engine, self.request))
            answers.start()
            _copy(self.request, engine)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def done(mac: Mac, *words: str) -> str:
    ended = mac.slimbake(*words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_machine_is_like_a_mac(mac: Mac) -> None:
    assert mac.ran("ls", "/proc").stdout == ""
    assert mac.ran("ls").stdout.split() == ["app", "services.yaml"]
    assert not mac.repository.exists(), "the engine sees it as little as this process"


def test_it_is_locked_generated_checked_and_planned_without_an_engine(
    mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(mac, "lock")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    done(mac, "generate")
    assert "the locks are fresh" in done(mac, "check")
    assert "app-smoke" in done(mac, "plan")
    done(mac, "lock", "--check")


@pytest.fixture(scope="module")
def image(mac: Mac) -> dict[str, Any]:
    """Its image."""
    (image,) = json.loads(done(mac, "bake", "--json"))["images"].values()
    return dict(image)


def test_it_is_checked_started_measured_and_reported(mac: Mac, image: dict[str, Any]) -> None:
    assert "A bake can work here" in done(mac, "doctor")
    assert {"start", "smoke"} <= {*image["checks"]}
    done(mac, "up")
    assert "app" in json.loads(done(mac, "sizes", "--json"))["images"]
    done(mac, "report")
    assert "<html" in mac.ran("cat", ".slimbake/report.html").stdout[:200]
    assert "msilib" in done(mac, "why", "msilib")
    done(mac, "down")


def test_a_folder_that_the_engine_does_not_see_is_known(mac: Mac, image: dict[str, Any]) -> None:
    """The engine has an empty folder in its place."""
    assert docker.sees(Path(__file__), image["digest"])
    assert not docker.sees(mac.repository / "services.yaml", image["digest"])


def test_a_socket_that_nobody_may_use_is_a_fault_of_the_set_up(mac: Mac) -> None:
    socket_of_others = mac.shared / "docker.sock"
    with socketserver.UnixStreamServer(str(socket_of_others), _Forwarded):
        socket_of_others.chmod(0)
        if not os.geteuid():
            os.chown(socket_of_others, 1, -1)
        without = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        environment = {"DOCKER_HOST": f"unix://{socket_of_others}"}
        refused = mac.slimbake("bake", env=environment, within=without)
    assert refused.returncode == 7
    assert refused.stderr.startswith("slimbake: you may not use the Docker engine's socket\n")
