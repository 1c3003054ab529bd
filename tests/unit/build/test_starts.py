"""What a bake says of start checks that held."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import fleet, service

from slimbake.build import starts
from slimbake.checks import start
from slimbake.checks.start import StartFound
from slimbake.host.workspace import Workspace
from slimbake.plan import plan


@pytest.mark.parametrize(
    ("said", "stop"),
    [
        ({"command": ("serve",)}, "SIGTERM"),
        ({"command": ("serve",), "stop_signal": "SIGINT"}, "SIGINT"),
        ({"dockerfile": "Dockerfile"}, ""),
    ],
)
def test_a_start_check_looks_for_the_signal_that_stops_the_container(
    said: dict[str, Any], stop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: object, __: object, asked: Mapping[str, Any], *___: object) -> dict[str, Any]:
        assert asked["stop"] == stop
        return {"deaf": False} if stop == "SIGTERM" else {}

    image = types.SimpleNamespace(entrypoint=(), command=("serve",))
    monkeypatch.setattr("slimbake.docker.engine_image", lambda _: image)
    monkeypatch.setattr(start, "_run", run)
    [running] = plan(fleet(service("api", **said))).services
    found = start.starts("image", running, tmp_path)
    assert found.why == "" and bool(found.warning) == (stop == "SIGTERM")


def test_a_warning_of_a_start_check_is_said_once_for_all_platforms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [running] = plan(fleet(service("api"))).services
    keys = {(running, "image", each): f"key{each}" for each in ("", "linux/arm64")}
    found = (StartFound("", warning="warning: api"),) * 2
    monkeypatch.setattr(starts, "_keys", lambda *_: keys)
    monkeypatch.setattr(starts, "_all_started", lambda *_: found)
    said: list[str] = []
    console = types.SimpleNamespace(say=said.append)
    site: Any = types.SimpleNamespace(workspace=Workspace(None), console=console)
    made: Any = None
    assert starts.start_checks(site, made, {"api": "image"}, "").started == {"api": "start"}
    assert said == ["warning: api"]
