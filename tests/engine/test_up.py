"""`slimbake up` where something is wrong, with a toy fleet."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.engine.conftest import Toy, docker, fetch, fleet
from tests.engine.registries import free_port

pytestmark = pytest.mark.slow

MANIFEST = """
services:
  serves:
    context: serves
    command: [python, -m, http.server, "{serves}"]
    port: {serves}
  dies:
    context: dies
    command: [python, -m, dies]
    port: {dies}
    start: none
  speaks:
    context: speaks
    command: [python, -m, speaks]
"""
DIES = """
import sys
sys.exit("DATABASE: is not set")
"""


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"serves": free_port(), "dies": free_port()}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Toy]:
    with fleet(tmp_path_factory.mktemp("up")) as made:
        files = {
            "serves/index.html": "here",
            "dies/dies.py": DIES,
            "speaks/speaks.py": "print('spoken')",
        }
        made.write(MANIFEST.format(**ports), files)
        baked = made.slimbake("bake")
        assert baked.code == 0, baked.stderr
        yield made
        made.slimbake("down", "--volumes")


def test_up_returns_once_a_service_listens(toys: Toy, ports: dict[str, int]) -> None:
    started = toys.slimbake("up", "serves")
    assert started.code == 0, started.stderr
    assert started.stderr == f"serves: http://127.0.0.1:{ports['serves']}\n"
    assert fetch(f"http://127.0.0.1:{ports['serves']}/index.html") == (200, "here")


def test_up_reports_a_service_that_ends_at_once_with_its_last_words(toys: Toy) -> None:
    started = toys.slimbake("up")
    assert (started.code, started.stdout) == (6, "")
    name = f"{toys.project}-dies"
    words = [
        "slimbake: dies ended at once, with exit code 1",
        "DATABASE: is not set",
        f"  `docker logs {name}` tells all; `slimbake down` ends the others",
    ]
    assert started.stderr.splitlines()[-3:] == words
    assert name in docker("ps", "--all", "--format={{.Names}}").split(), (
        "its log is there to be read"
    )


def test_up_names_a_service_whose_port_is_taken(toys: Toy, ports: dict[str, int]) -> None:
    toys.slimbake("down")
    with socket.create_server(("127.0.0.1", ports["serves"])):
        started = toys.slimbake("up", "serves")
    assert started.code == 7
    first, *rest = started.stderr.splitlines()
    assert first == f"slimbake: serves could not be started on port {ports['serves']}"
    assert "in use" in " ".join(rest)
    assert toys.project not in docker("ps", "--all", "--format={{.Names}}")


def test_up_of_a_command_alone_starts_nothing(toys: Toy) -> None:
    started = toys.slimbake("up", "speaks")
    assert (started.code, started.stderr) == (0, "")
    assert toys.slimbake("run", "speaks").stdout == "spoken\n"


def test_up_names_an_image_that_is_not_there_before_it_starts_anything(toys: Toy) -> None:
    toys.slimbake("down")
    started = toys.slimbake("up", "--tag=none")
    assert started.code == 7
    assert started.stderr.startswith(
        f"slimbake: the engine has no image {toys.image('serves', 'none')}\n"
    )
    assert toys.project not in docker("ps", "--all", "--format={{.Names}}")
