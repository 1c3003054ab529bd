"""Without a network: neither slimbake nor the engine nor any step of a build can reach anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, call
from tests.engine.engines import Own, bring_externals, own_engine
from tests.engine.toys import write

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start an engine")


@pytest.fixture(scope="module")
def cut() -> Iterator[Own]:
    with own_engine(route=False) as own:
        yield own


def test_there_is_no_way_out(cut: Own) -> None:
    assert call(*cut.within("ip", "route", "show", "default")).stdout == ""
    reach = "import socket; socket.create_connection(('192.0.2.1', 53), timeout=5)"
    assert "Network is unreachable" in call(*cut.within(sys.executable, "-c", reach)).stderr


def test_services_without_packages_bake(cut: Own, toy: Toy, tmp_path: Path) -> None:
    write(toy, "one", "two")
    bring_externals(toy.root / "services.yaml", cut.host)
    bake = cut.within(sys.executable, "-m", "slimbake", "bake", "--no-cache", "--json")
    done = call(*bake, cwd=toy.root, env={"DOCKER_HOST": cut.host, "XDG_STATE_HOME": str(tmp_path / "state")})
    assert done.code == 0, done.stderr
    assert done.json()["images"].keys() == {"one", "two"}
