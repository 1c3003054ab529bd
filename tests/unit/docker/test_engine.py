"""Finding the engine, on machines that do not exist."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.processes import faked, programs

from slimbake.docker import engine
from slimbake.docker.engine import Absent, DockerEngine, describe, not_run, remedy
from slimbake.host import process

PLUGINS = [{"Name": "buildx", "Version": "0.13.1+ds1"}, {"Name": "compose", "Version": "2.26.1-4"}]
CONTAINERD: dict[str, Any] = {
    "ServerVersion": "26.1.5",
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "ClientInfo": {"Context": "default", "Plugins": PLUGINS},
}
GRAPH = {**CONTAINERD, "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
NO_DAEMON = {
    "ServerErrors": ["Cannot connect to the Docker daemon"],
    "ClientInfo": CONTAINERD["ClientInfo"],
}


def described(info: dict[str, Any], errors: str = "", endpoint: str = "") -> DockerEngine | Absent:
    return describe(info, errors, builder="docker", endpoint=endpoint)


def with_buildx(version: str) -> dict[str, Any]:
    plugins = [{"Name": "buildx", "Version": version}] if version else []
    return {**CONTAINERD, "ClientInfo": {"Context": "default", "Plugins": plugins}}


def machine(architecture: str) -> dict[str, Any]:
    return {**CONTAINERD, "Architecture": architecture, "NCPU": 6, "MemTotal": 8 << 30}


@pytest.mark.parametrize(
    ("info", "known"),
    [
        (CONTAINERD, {"version": "26.1.5", "store": "containerd", "compose": (2, 26, 1)}),
        (GRAPH, {"store": "graph"}),
        (with_buildx("0.13.1+ds1"), {"buildx": (0, 13, 1)}),
        (with_buildx("v0.17.0"), {"buildx": (0, 17, 0)}),
        (with_buildx("v0.30.1-desktop.1"), {"buildx": (0, 30, 1)}),
        (with_buildx("v0.0.0+unknown"), {"buildx": (0, 0, 0)}),
        (machine("x86_64"), {"platform": "linux/amd64", "cores": 6, "memory": 8 << 30}),
        (machine("aarch64"), {"platform": "linux/arm64"}),
        (machine("arm64"), {"platform": "linux/arm64"}),
    ],
)
def test_an_engine_is_described(info: dict[str, Any], known: dict[str, Any]) -> None:
    found = described(info)
    assert isinstance(found, DockerEngine)
    assert {name: getattr(found, name) for name in known} == known


@pytest.mark.parametrize(
    ("info", "errors", "what"),
    [
        (with_buildx(""), "", "buildx"),
        (with_buildx("v0.12.1"), "", "old buildx"),
        (NO_DAEMON, "", "daemon"),
        ({}, "Cannot connect", "daemon"),
        ({"ServerErrors": ["permission denied while trying to connect"]}, "", "permission"),
    ],
)
def test_an_unusable_engine_has_a_reason(info: dict[str, Any], errors: str, what: str) -> None:
    found = described(info, errors)
    assert isinstance(found, Absent)
    assert found.what == what


@pytest.mark.parametrize(
    ("what", "chosen", "words", "system"),
    [
        ("client", "", "install Docker Engine with buildx and Compose: https", "linux"),
        ("client", "", "docker.io docker-buildx docker-compose-v2", "linux"),
        ("permission", "", "group `docker`", "linux"),
        ("permission", "", "in a container, `docker run` needs `--group-add", "linux"),
        ("daemon", "", "systemctl start docker", "linux"),
        ("daemon", "", "in a container, `docker run` needs `--volume /var/run", "linux"),
        ("daemon", "DOCKER_HOST", "unset", "linux"),
        ("daemon", "DOCKER_CONTEXT", "the engine that DOCKER_CONTEXT names", "linux"),
        ("daemon", "DOCKER_API_VERSION", "that DOCKER_API_VERSION names", "linux"),
        ("client", "", "install Docker Desktop, OrbStack or Colima", "darwin"),
        ("daemon", "", "`colima start`", "darwin"),
        ("daemon", "DOCKER_HOST", "unset", "darwin"),
        ("permission", "", "as this user", "darwin"),
        ("old buildx", "", "with buildx", "darwin"),
    ],
)
def test_the_advice_fits_the_machine(
    what: Any, chosen: str, words: str, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    if chosen:
        monkeypatch.setenv(chosen, "elsewhere")
    assert words in remedy(Absent(what, ""))


@pytest.mark.parametrize(
    ("builds_for", "platforms", "lacking"),
    [
        ("", ("linux/amd64",), ""),  # a builder that has not started says nothing
        ("linux/arm64, linux/amd64", ("linux/amd64",), ""),
        ("linux/arm64, linux/arm/v7", ("linux/amd64",), "linux/amd64"),
        ("linux/arm64*, linux/arm/v7", ("linux/amd64", "linux/arm64"), "linux/amd64"),
    ],
)
def test_a_platform_that_the_builder_does_not_run_has_a_reason(
    builds_for: str,
    platforms: tuple[str, ...],
    lacking: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    found, _ = asked(monkeypatch, tmp_path, f"Driver: docker\nPlatforms:  {builds_for}\n")
    assert isinstance(found, DockerEngine)
    arm = replace(found, platform="linux/arm64")
    reason = not_run(arm, platforms)
    if not lacking:
        assert reason is None
        return
    assert reason and reason[0].startswith(f"the builder runs linux/arm64 and not {lacking},")
    assert "platforms: [linux/arm64]" in reason[1] and reason[1].endswith("--install amd64`")


def test_the_engine_s_platform_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine.engine_platform.cache_clear()
    processes = faked(monkeypatch)
    processes.answer("docker version", "linux/arm64\n")
    assert [engine.engine_platform() for _ in range(2)] == ["linux/arm64"] * 2
    engine.engine_platform.cache_clear()


def asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *answers: str
) -> tuple[DockerEngine | Absent, list[float]]:
    """What is found where buildx answers one thing after another, and how long was waited."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    programs(monkeypatch, installed=True)
    processes, reported, waits = faked(monkeypatch), list(answers), list[float]()
    processes.answer("docker info", json.dumps(CONTAINERD))

    def run(argv: Any, **options: Any) -> process.Completed:
        if [*argv][1:3] == ["buildx", "inspect"]:
            said = reported.pop(0)
            fine = said.startswith("Driver:")
            return process.Completed(tuple(argv), int(not fine), said * fine, said * (not fine))
        return processes.run(argv, **options)

    monkeypatch.setattr(process, "execute", run)
    monkeypatch.setattr("time.sleep", waits.append)
    return engine.find(), waits


def test_a_silent_builder_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, waits = asked(monkeypatch, tmp_path, "ERROR: EOF", "Driver: docker-container\n")
    assert isinstance(found, DockerEngine) and found.builder == "docker-container"
    assert waits == [0, 1]


def test_a_builder_unknown_to_buildx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, _ = asked(monkeypatch, tmp_path, *["ERROR: no builder afar found"] * 3)
    assert isinstance(found, Absent) and found.what == "builder"
    assert found.found.endswith("which builder it uses: ERROR: no builder afar found")
    assert "docker buildx use default" in remedy(found)
