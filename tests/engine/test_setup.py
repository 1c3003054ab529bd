"""Engines and local images of externals, real ones: found, left alone, made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import docker
from tests.engine.engines import own_engine

from slimbake.docker.engine import DockerEngine, expect_engine, find
from slimbake.externals.doctor import doctor
from slimbake.fleet.model import External

pytestmark = pytest.mark.slow

# No name under .invalid resolves (RFC 2606): these externals cannot be reached on any machine.
PYTHON = External("python", "registry.invalid/python:3.11-slim-trixie")
UV = External("uv", "registry.invalid/uv:1")


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    with own_engine(containerd_store=False) as plain:
        yield plain.host


def state_of_engine() -> dict[str, Any]:
    """What an engine says of itself, less what it holds and what passes."""
    info = json.loads(docker("info", "--format", "{{json .}}"))
    passing = ("SystemTime", "NFd", "NGoroutines", "NEventsListener", "Images", "Containers")
    return {key: value for key, value in info.items() if not key.startswith(passing)}


def files(folder: Path) -> dict[str, int]:
    """A folder's files with their times."""
    return (
        {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
        if folder.exists()
        else {}
    )


def test_the_machines_engine_is_found_and_looking_changes_nothing() -> None:
    before = (state_of_engine(), files(Path("/etc/docker")))
    assert isinstance(find(), DockerEngine)
    assert expect_engine() == find()
    doctor([PYTHON, UV])
    assert (state_of_engine(), files(Path("/etc/docker"))) == before


def test_an_engine_without_the_containerd_store_is_reported_so_and_left_as_it_is(
    plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", plain)
    folder = Path(plain.removeprefix("unix://")).parent
    settings = (folder / "daemon.json").read_bytes()
    before = (state_of_engine(), files(Path("/etc/docker")), (folder / "pid").read_text())
    found = expect_engine()
    assert (found.store, found.endpoint) == ("graph", plain)
    rows = {row.check: row for row in doctor([PYTHON, UV]).rows}
    assert (rows["engine"].state, rows["image store"].state) == ("ok", "warn")
    assert plain in rows["engine"].found
    assert (state_of_engine(), files(Path("/etc/docker")), (folder / "pid").read_text()) == before
    assert (folder / "daemon.json").read_bytes() == settings
