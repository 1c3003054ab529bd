"""verify: the eight services hold; limits and rights of a service that is being verified."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy, call, docker, slimbake
from tests.engine.programs import program, verified
from tests.engine.test_interrupt import started
from tests.patience import wait_for

pytestmark = pytest.mark.slow

SERVICES = ("api", "embedding", "storage", "nlg", "hybrid", "control", "bulk-ingester", "client")
SERVES = """
import http.server, os, pathlib, signal, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hang":
            time.sleep(3600)
        if self.path == "/eat":
            eaten = [b"x" * (1 << 20) for _ in range(2000)]
        if self.path == "/write":
            pathlib.Path("/app/new").write_text("x")
        pathlib.Path("/tmp/new").write_text("x")
        status = pathlib.Path("/proc/self/status").read_text().splitlines()
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\\n".join(line for line in status if line.startswith(("Uid", "CapEff"))).encode())
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer(("0.0.0.0", 9000), Handler).serve_forever()
"""
CHECK = """
import socket
def verify(service):
    assert service.get("/").text.split() == ["Uid:", *["65532"] * 4, "CapEff:", "0" * 16]
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    except OSError as error:
        assert error.errno == 101, "there is no network, not even one that does not answer"
"""
CALLS = "def verify(service):\n    assert service.get('/{}').status == 200\n"
MANIFEST = """
services:
  sound: {context: app, command: [python, -m, serves], port: 9000, verify: verify.py}
"""


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_of_the_example_holds(baked: dict[str, Any], service: str) -> None:
    done = slimbake("check", "--images", service)
    assert done.code == 0, done.stderr
    line = rf"verify: {service}: passed \(start-up (.+) s\)"
    found = re.search(line, done.stdout)
    assert found, done.stdout
    assert float(found[1]) > 0


@pytest.fixture(scope="module")
def built(shared_toy: Toy) -> Toy:
    shared_toy.write(MANIFEST, {"app/serves.py": SERVES, "app/verify.py": CHECK})
    shared_toy.done("bake")
    return shared_toy


@pytest.fixture
def toy(built: Toy) -> Iterator[Toy]:
    """The toy service, whose verify a test may replace; no container of it is left."""
    yield built
    assert containers(built) == []


def containers(toy: Toy) -> list[str]:
    return docker("ps", "--all", "--format={{.Names}}", f"--filter=name={toy.project}").split()


def verify(toy: Toy, check: str, *limits: str) -> Ended:
    """`limits`: seconds and bytes, if not as usual."""
    toy.file("app/verify.py", check)
    if limits:
        image = toy.image("sound")
        return call(sys.executable, "-c", program(verified), image, *limits, cwd=toy.root)
    return toy.slimbake("check", "--images")


def test_a_service_runs_as_it_is_meant_to_without_root_network_or_capabilities(toy: Toy) -> None:
    done = verify(toy, CHECK)
    assert done.code == 0, done.stderr
    assert done.stdout.startswith("verify: sound: passed (") and done.stdout.count("\n") == 1


def test_a_service_that_needs_too_much_memory_is_reported(toy: Toy) -> None:
    done = verify(toy, CALLS.format("eat"), "300", "200000000")
    assert done.code == 6
    assert "  it needed more than the 200 MB of memory that it may have\n" in done.stderr
    assert "by signal 9" in done.stderr, "of the service or its check: the kernel chooses"


def test_a_service_that_writes_to_its_root_shows_why_it_failed(toy: Toy) -> None:
    done = verify(toy, CALLS.format("write"))
    assert done.code == 6
    assert "OSError: [Errno 30] Read-only file system: '/app/new'" in done.stderr


def test_an_interrupted_verify_leaves_no_container(toy: Toy) -> None:
    toy.file("app/verify.py", CALLS.format("hang"))
    with started(toy, "check", "--images") as process:
        wait_for(lambda: bool(containers(toy)), "the container", lambda: process.poll() is None)
        process.send_signal(signal.SIGTERM)  # a background job ignores SIGINT
        assert process.wait() == 130
