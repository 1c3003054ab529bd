"""What a bake says of start checks that held."""

import threading
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import planned, service
from tests.unit.machines import ENGINE

from slimbake.checks import start
from slimbake.checks.engine_start import Outcome
from slimbake.checks.start import StartFound
from slimbake.config.model import StartCheck
from slimbake.console import QUIET
from slimbake.host.workspace import Workspace
from slimbake.release import starts


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
    def run(*given: Any) -> Outcome:
        asked = given[3]
        assert asked["stop"] == stop
        return Outcome(deaf=False if stop == "SIGTERM" else None)

    image = types.SimpleNamespace(entrypoint=(), command=("serve",))
    monkeypatch.setattr("slimbake.docker.engine_image", lambda _: image)
    monkeypatch.setattr(start, "_run", run)
    [running] = planned(service("api", **said)).services
    found = start.starts("image", running, tmp_path)
    assert found.why == "" and bool(found.warning) == (stop == "SIGTERM")


def test_a_warning_of_a_start_check_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = planned(service("api"))
    [running] = made.services
    checks = [
        starts._StartCheck(running, "image", each, f"key{each}") for each in ("", "linux/arm64")
    ]
    found = (StartFound("", warning="warning: api"),) * 2
    monkeypatch.setattr(starts, "_start_checks", lambda *_: checks)
    monkeypatch.setattr(starts, "_all_started", lambda *_: found)
    said: list[str] = []
    console = types.SimpleNamespace(say=said.append)
    site: Any = types.SimpleNamespace(workspace=Workspace(None), console=console)
    assert starts.start_checks(site, made, {"api": "image"}, "").started == {"api": "start"}
    assert said == ["warning: api"]


def test_a_bake_that_is_interrupted_ends_what_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def started(image: str, *_: object) -> StartFound:
        if image == "first":
            raise KeyboardInterrupt
        ended.wait(60)
        return StartFound("")

    def removed(_: object) -> list[str]:
        ended.set()
        return []

    monkeypatch.setattr(starts, "company", lambda *_: None)
    monkeypatch.setattr(starts, "starts", started)
    monkeypatch.setattr("slimbake.docker.remove_owned", removed)
    made = planned(service("api"), service("web"))
    images = zip(made.services, ("first", "second"), strict=True)
    asked = [starts._StartCheck(each, image, "", image) for each, image in images]
    site: Any = types.SimpleNamespace(root=Path(), console=QUIET, engine=ENGINE)
    with pytest.raises(KeyboardInterrupt):
        starts._all_started(site, made, asked, {})
    assert ended.is_set()


BESIDE = planned(
    service("web", start=StartCheck("runs", fleet=("queue",))),
    service("queue", env_file=(".env",), start=StartCheck("runs", env=(("KEY", "a$b"),))),
)


def test_a_start_check_is_repeated_when_an_image_beside_it_changes(tmp_path: Path) -> None:
    site: Any = types.SimpleNamespace(
        root=tmp_path, plan=BESIDE, engine=replace(ENGINE, store="graph")
    )

    def keys(queue: str) -> list[str]:
        known = {"web": "1", "queue": queue}
        checks = starts._start_checks(site, BESIDE, {"web": "1"}, "", known)
        return [check.key for check in checks]

    assert keys("2") == keys("2") != keys("3")


def test_the_last_image_starts_beside_an_unbuilt_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site: Any = types.SimpleNamespace(around=types.SimpleNamespace(checkout="here"))
    last = {"slimbake/atlas/queue:built-here": types.SimpleNamespace(id="last")}
    monkeypatch.setattr("slimbake.docker.find_image", last.get)
    monkeypatch.setattr("slimbake.docker.pull_image", lambda name, _: f"pulled {name}")

    def others(images: dict[str, str], elsewhere: dict[str, str]) -> dict[str, str]:
        return starts._others(site, BESIDE, images, "", elsewhere)

    assert others({"web": "1"}, {}) == {"queue": "last"}
    assert others({"web": "1"}, {"queue": "r/queue@sha256:2"}) == {
        "queue": "pulled r/queue@sha256:2"
    }
    assert others({"web": "1", "queue": "2"}, {}) == others({"queue": "2"}, {}) == {}
    last.clear()
    assert others({"web": "1"}, {}) == {}


def test_a_service_has_no_image_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = BESIDE.services[0]
    nobody = start.company(BESIDE, web, tmp_path, {"web": "1"})
    assert start.starts("1", web, tmp_path, company=nobody).why == (
        "web: its start check needs queue, and this engine has no image of it\n"
        "bake them together: `slimbake bake queue web`"
    )
    [queue] = start.company(BESIDE, web, tmp_path, {"queue": "2"}).fleet
    assert (queue.said["image"], queue.said["pull_policy"]) == ("2", "never")
    assert queue.fixed == {"KEY": "a$$b"} and queue.env_files == (tmp_path / ".env",)


@pytest.mark.parametrize(
    ("cores", "engine", "here", "expected"),
    [
        (4, 64 << 30, 64 << 30, 5),
        (4, 64 << 30, None, 5),  # macOS does not say what it can give
        (4, 4 << 30, None, 2),  # Docker Desktop's machine is smaller than this one
        (4, 4 << 30, 64 << 30, 2),
        (4, 64 << 30, 4 << 30, 2),
        (1, 1 << 30, None, 1),
    ],
)
def test_as_many_start_at_once_as_the_engine_s_machine_bears(
    cores: int, engine: int, here: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimbake.host.kernel.memory", lambda: here)
    assert starts._at_once(replace(ENGINE, cores=cores, memory=engine)) == expected


BOTH = ("linux/amd64", "linux/arm64")


@pytest.mark.parametrize(
    ("store", "built", "only", "expected"),
    [
        ("containerd", BOTH, "", ["", "linux/arm64"]),
        ("containerd", BOTH[1:], "", ["linux/arm64"]),
        ("containerd", BOTH, "linux/amd64", [""]),
        ("containerd", BOTH, "linux/arm64", ["linux/arm64"]),
        ("graph", BOTH, "", [""]),
        ("graph", BOTH[1:], "", ["linux/arm64"]),
    ],
)
def test_an_image_is_started_for_each_platform_that_the_engine_holds(
    store: Any, built: tuple[str, ...], only: str, expected: list[str]
) -> None:
    made = planned(service("api"), platforms=built)
    site: Any = types.SimpleNamespace(plan=made, engine=replace(ENGINE, store=store))
    assert starts._platforms(site, "api", only) == expected
