"""Start checks of services that need others: databases of the repository's own compose file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.toys import held, text_of
from tools.bare.images import python_image

from slimbake.docker.containers import OWNER

MANIFEST = """
services:
  needs-it: {context: app, command: [python, -m, needs], port: 8000, env_file: [app.env], start: {with: [db]}}
  alone: {context: app, command: [python, -m, needs], port: 8000, env_file: [app.env]}
  broken: {context: app, command: [python, -m, needs], port: 8000, start: {with: [fails]}}
"""
NEEDS = """
import http.server, os, socket
assert (os.environ["TOKEN"], os.environ.get("NOT_SET")) == ("a$b", None)
with socket.create_connection((os.environ["DB"], int(os.environ["DB_PORT"])), 5) as db:
    db.sendall(b"?")
    assert db.recv(9) == b"ready"
http.server.ThreadingHTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
DATABASE = """
import os, pathlib, socket
assert os.environ["PRICE"] == "5 $"
kept = pathlib.Path("/data/kept")
assert not kept.exists(), "it has the data of somebody else"
kept.write_text("")
server = socket.create_server(("", 5432))
answers = iter([b"starting"])  # to whoever asks first
while True:
    with server.accept()[0] as client:
        if client.recv(1):
            client.sendall(next(answers, b"ready"))
"""
COMPOSE = text_of("start-with.compose.yaml")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    image = python_image("3.11")
    compose = COMPOSE.replace("IMAGE", image).replace("PROJECT", shared_toy.project)
    files = {"app/needs.py": NEEDS, "app.env": "export DB='db'\n", "database.py": DATABASE}
    shared_toy.write(MANIFEST, {**files, "compose.yaml": compose})
    return shared_toy


def test_a_service_starts_beside_its_database_and_nothing_of_it_is_left(toy: Toy) -> None:
    volume = f"{toy.project}-data"
    docker("volume", "create", volume)
    try:
        done = toy.done("bake", "needs-it", "--json")
        assert done.json()["images"]["needs-it"]["checks"] == ["start"]
        assert volume in docker("volume", "ls", "--quiet"), "somebody's data"
    finally:
        docker("volume", "rm", volume)
    if left := orphans():
        time.sleep(5)  # another's may be on its way out
        left &= orphans()
    assert not left


def orphans() -> set[str]:
    """What start checks have left whose process has gone: others may run beside this test."""
    alive: set[str] = set()
    gone: set[str] = set()
    started = "--filter=name=slimbake-start-"
    for kind, name in (("container", ".Names"), ("network", ".Name")):
        every = ("--all",) if kind == "container" else ()
        form = f'--format={{{{{name}}}}} {{{{.Label "{OWNER}"}}}}'
        for row in docker(kind, "ls", *every, started, form).splitlines():
            found, _, owner = row.partition(" ")
            number = owner.rpartition("/")[2]
            (alive if number and Path(f"/proc/{number}").exists() else gone).add(found)
    projects = {each.partition("_")[0] for each in alive}
    volumes = docker("volume", "ls", "--quiet", started).split()
    return gone | {each for each in volumes if each.partition("_")[0] not in projects}


def test_without_its_database_it_does_not_start(toy: Toy) -> None:
    done = toy.slimbake("bake", "alone")
    assert done.code == 6, done.stderr
    assert "KeyError: 'TOKEN'" in done.stderr


def test_a_database_that_does_not_start_is_named_with_its_last_words(toy: Toy) -> None:
    done = toy.slimbake("bake", "broken")
    assert done.code == 6, done.stderr
    assert "broken: what its start check needs did not start: fails" in done.stderr
    assert "no disk" in done.stderr
    assert not held(toy.image("broken"))


ASKED = """
import http.server
print("asked", flush=True)
http.server.ThreadingHTTPServer(("", 9000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
ASKS = """
import http.server, os, urllib.request
urllib.request.urlopen(os.environ["STORE"] + os.environ.get("MORE", ""), timeout=9)
http.server.ThreadingHTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
OURS = """
services:
  front-end:
    context: front
    command: [python, -m, asks]
    port: 8000
    env: {STORE: "http://store-1:9000/"}
    start: {with: [store-1]}
  store-1: {context: store, command: [python, -m, asked], port: 9000, start: none}
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A fleet of which one service needs another, without any compose file."""
    with fleet(tmp_path_factory.mktemp("ours")) as made:
        made.write(OURS, {"front/asks.py": ASKS, "store/asked.py": f"{ASKED}# {made.project}\n"})
        yield made


def test_a_service_starts_beside_another_one_of_the_manifest(ours: Toy) -> None:
    alone = ours.slimbake("bake", "front-end")
    assert alone.code == 6, "store-1 was never built"
    assert "store-1" in alone.stderr and "slimbake bake store-1 front-end" in alone.stderr
    both = ours.done("bake", "--json")
    assert both.json()["images"]["front-end"]["checks"] == ["start"]
    again = ours.slimbake("bake")
    assert again.code == 0 and "starting" not in again.stderr
    ours.file("store/asked.py", f"raise SystemExit('no store')  # {ours.project}\n")
    broken = ours.slimbake("bake")
    assert broken.code == 6, "what it needs is another one now"
    assert "no store" in broken.stderr
