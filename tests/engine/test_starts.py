"""Start checks: an image that does not start gets no tag, whatever else holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import Toy, fleet
from tests.engine.toys import held

MANIFEST = """
services:
  serves: {context: app, command: [python, -m, http.server, "8000"], port: 8000}
  ends: {context: app, command: [python, -c, "print(1)"]}
  stores:
    context: app
    command: [python, -m, stores]
    volumes: {PROJECT-kept: /kept}
  asks: {context: app, command: [python, -m, asks], start: [--help]}
  own: {context: own, dockerfile: own/Dockerfile, port: 8001}
  skipped: {context: app, command: [python, -m, dies], start: none}
  dies: {context: app, command: [python, -m, dies]}
  near: {context: app, command: [python, -m, http.server, "8002", --bind, 127.0.0.1], port: 8002}
  other: {context: app, command: [python, -m, http.server, "8004"], port: 8003}
  writes: {context: app, command: [python, -m, writes]}
  gone: {context: app, command: [nowhere]}
"""
FILES = {
    "app/asks.py": "import sys; sys.exit(sys.argv[1:] != ['--help'])",
    "app/dies.py": "raise SystemExit('DATABASE: is not set')",
    "app/stores.py": "import pathlib\nfor each in ('/kept/a', '/tmp/a'):\n"
    "    pathlib.Path(each).write_text('kept')\n",
    "app/writes.py": "import pathlib; (pathlib.Path.home() / '.cache').mkdir()",
    "own/Dockerfile": "FROM base\nUSER 65532:65532\n"
    'ENTRYPOINT ["python", "-m", "http.server"]\nCMD ["8001"]\n',
}
GOOD = ("serves", "ends", "stores", "asks", "own", "skipped")
BAD = {
    "dies": "its command ended with exit code 1",
    "near": "listens on port 8002 of the container's loopback only: bind it to 0.0.0.0",
    "other": "does not listen on port 8003 but on 8004",
    "writes": "Read-only file system",
    "gone": "cannot be run",
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with fleet(tmp_path_factory.mktemp("starts")) as made:
        made.write(MANIFEST.replace("PROJECT", made.project), FILES)
        yield made


def test_what_starts_is_tagged_and_what_does_not_is_not(toy: Toy) -> None:
    done = toy.slimbake("bake", "--keep-going")
    assert done.code == 6, done.stderr
    for name in GOOD:
        assert held(toy.image(name)), name
    for name, why in BAD.items():
        assert not held(toy.image(name)), name
        assert f"the start check of {name} does not hold" in done.stderr
        assert why in done.stderr, done.stderr
    assert "DATABASE: is not set" in done.stderr


def test_the_table_says_what_was_checked(toy: Toy) -> None:
    done = toy.slimbake("bake", *GOOD, "--json")
    assert done.code == 0, done.stderr
    found: dict[str, Any] = done.json()["images"]
    assert found["own"]["checks"] == ["start"] and found["own"]["unchecked"] == ["smoke"]
    assert found["skipped"]["checks"] == []
    assert found["skipped"]["unchecked"] == ["start", "smoke"]
    text = toy.slimbake("bake", "serves").stdout
    assert "start (no smoke)" in text


def test_an_image_that_does_not_start_fails_its_bake(toy: Toy) -> None:
    done = toy.slimbake("bake", "dies")
    assert done.code == 6 and "the start check of dies does not hold" in done.stderr
    assert not held(toy.image("dies"))
