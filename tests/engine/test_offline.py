"""Without a network: neither slimbake nor the engine nor any step of a build can reach anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, call
from tests.engine.engines import Own, bring_externals, own_engine
from tests.engine.toys import code, entry, library

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cut() -> Iterator[Own]:
    with own_engine(route=False) as own:
        yield own


def test_there_is_no_way_out(cut: Own) -> None:
    assert call(*cut.within("ip", "route", "show", "default")).stdout == ""
    reach = "import socket; socket.create_connection(('192.0.2.1', 53), timeout=5)"
    assert "Network is unreachable" in call(*cut.within(sys.executable, "-c", reach)).stderr


def test_a_fleet_that_was_fetched_bakes(cut: Own, toy: Toy, tmp_path: Path) -> None:
    toy.write(
        "bases: {small: {requirements: [markupsafe]}}\nservices:\n"
        + entry("one", "    base: small\n    requirements: [six, ./libs/shared]\n")
        + entry("two"),
        code(toy, "one", "two")
        | library("shared")
        | {
            "one/app.py": "import markupsafe, shared, six\n",
        },
    )
    env = {"SLIMBAKE_WHEELHOUSE": str(tmp_path / "wheelhouse")}
    for command in (("lock",), ("lock", "--fetch")):
        toy.done(*command, env=env)
    bring_externals(toy.root / "services.yaml", cut.host)
    words = ("bake", "--set", "*.no-cache=true", "--json")
    bake = cut.within(sys.executable, "-m", "slimbake", *words)
    env |= {"DOCKER_HOST": cut.host, "UV_CACHE_DIR": str(tmp_path / "uv")}
    env |= {"XDG_STATE_HOME": str(tmp_path / "state")}
    done = call(*bake, cwd=toy.root, env=env)
    assert done.code == 0, done.stderr
    assert done.json()["images"].keys() == {"one", "two"}
