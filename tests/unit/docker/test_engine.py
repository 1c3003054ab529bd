"""Finding, installing, starting and stopping the engine, on machines that do not exist."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import debian
from tests.unit.processes import Processes, faked, programs

from slimbake.console import QUIET, Console
from slimbake.docker import daemon as dockerd
from slimbake.docker import engine, rooted
from slimbake.docker.daemon import StartedDaemon, configured
from slimbake.docker.engine import Absent, DockerEngine, describe, packages_for, remedy, setup
from slimbake.errors import SetupError
from slimbake.host import process

PLUGINS = [
    {"Name": "buildx", "Version": "0.13.1+ds1"},
    {"Name": "compose", "Version": "2.26.1-4"},
]
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


def described(
    info: dict[str, Any], errors: str = "", endpoint: str = "", *, bakes: bool = True
) -> DockerEngine | Absent:
    return describe(
        info, errors, builder="docker", endpoint=endpoint, started=True, bakes=lambda: bakes
    )


def with_buildx(version: str) -> dict[str, Any]:
    plugins = [{"Name": "buildx", "Version": version}] if version else []
    return {**CONTAINERD, "ClientInfo": {"Context": "default", "Plugins": plugins}}


@pytest.mark.parametrize("version", ["v0.0.0+unknown", "0.0.0"])
def test_a_buildx_that_tells_no_version_is_asked_what_it_can_do(version: str) -> None:
    found = described(with_buildx(version))
    assert isinstance(found, DockerEngine)
    assert engine.version_text(found.buildx) == "of an unknown version"
    old = described(with_buildx(version), bakes=False)
    assert isinstance(old, Absent) and old.what == "old buildx"
    assert old.found == "buildx of an unknown version is too old: 0.13.0 is the oldest that serves"


def test_a_buildx_that_tells_an_old_version_is_not_asked() -> None:
    old = described(with_buildx("0.12.1"))
    assert isinstance(old, Absent) and old.what == "old buildx"


@pytest.mark.parametrize(("info", "store"), [(CONTAINERD, "containerd"), (GRAPH, "graph")])
def test_the_store_is_read_from_the_drivers_status(info: dict[str, Any], store: str) -> None:
    found = described(info)
    assert isinstance(found, DockerEngine)
    assert (found.version, found.store, found.buildx) == ("26.1.5", store, (0, 13, 1))
    assert found.compose == (2, 26, 1)


@pytest.mark.parametrize(
    ("version", "read"),
    [("0.13.1+ds1", (0, 13, 1)), ("v0.17.0", (0, 17, 0)), ("v0.30.1-desktop.1", (0, 30, 1))],
)
def test_the_version_of_buildx_is_read(version: str, read: tuple[int, int, int]) -> None:
    found = described(with_buildx(version))
    assert isinstance(found, DockerEngine)
    assert found.buildx == read


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
def test_an_engine_that_does_not_serve_is_absent_for_its_reason(
    info: dict[str, Any], errors: str, what: str
) -> None:
    found = described(info, errors)
    assert isinstance(found, Absent)
    assert found.what == what


def test_an_engine_elsewhere_was_not_started_by_us() -> None:
    here, elsewhere = described(CONTAINERD), described(CONTAINERD, endpoint="tcp://10.0.0.1:2375")
    assert isinstance(here, DockerEngine)
    assert isinstance(elsewhere, DockerEngine)
    assert (here.started, here.endpoint) == (True, "default")
    assert (elsewhere.started, elsewhere.endpoint) == (False, "tcp://10.0.0.1:2375")


@pytest.mark.parametrize(
    ("apt_has", "packages"),
    [
        (
            {"docker.io", "docker-cli", "docker-buildx", "docker-compose"},
            "docker.io docker-cli docker-buildx docker-compose iptables ca-certificates",
        ),
        ({"docker.io", "docker-buildx"}, "docker.io docker-buildx iptables ca-certificates"),
        (
            {"docker.io", "docker-buildx", "docker-compose", "docker-compose-v2"},
            "docker.io docker-buildx docker-compose-v2 iptables ca-certificates",
        ),
        (
            {"docker.io", "docker-ce", "docker-buildx-plugin", "docker-compose-plugin"},
            "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin"
            " iptables ca-certificates",
        ),
    ],
)
def test_the_packages_of_debian_13_ubuntu_and_dockers_own_repository(
    apt_has: set[str], packages: str
) -> None:
    assert packages_for(frozenset(apt_has)) == tuple(packages.split())


def test_where_apt_has_no_buildx_as_on_debian_12_the_way_out_is_said() -> None:
    with pytest.raises(SetupError, match="no Docker engine with buildx") as caught:
        packages_for(frozenset({"docker.io"}))
    assert "https://docs.docker.com/engine/install/" in caught.value.hint


@pytest.mark.parametrize(
    ("what", "here", "words"),
    [
        ("client", debian(), "--install-engine"),
        ("client", debian(root=False), "as root, or install docker.io docker-buildx docker-cli"),
        (
            "client",
            debian(system="fedora", root=False),
            "install Docker Engine with its client, and buildx 0.13",
        ),
        ("permission", debian(root=False), "group `docker`"),
        ("daemon", debian(root=False), "systemctl start docker"),
    ],
)
def test_the_advice_fits_the_machine(
    what: Any, here: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("slimbake.host.apt.may_install", lambda root: root)
    assert words in remedy(Absent(what, ""), here)


class Machine:
    """A machine on which `docker info` answers one thing after another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, processes: Processes) -> None:
        self.processes, self.did = processes, list[str]()
        self.infos: list[dict[str, Any] | None] = []
        monkeypatch.setattr(engine, "find", self._find)
        monkeypatch.setattr(dockerd, "start_daemon", self._did("start"))
        monkeypatch.setattr(dockerd, "start_docker_service", self._did("start service"))
        monkeypatch.setattr(dockerd, "configure_system", self._did("configure"))

    def _find(self) -> DockerEngine | Absent:
        info = self.infos.pop(0) if len(self.infos) > 1 else self.infos[0]
        return Absent("client", "no docker") if info is None else described(info)

    def _did(self, what: str) -> Callable[..., None]:
        def do(*arguments: object) -> None:
            self.did.append(what)

        return do


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """A Debian machine without systemd, with us as root on it; apt has Debian 13's packages."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "machine", debian)
    monkeypatch.setattr(engine, "systemd_runs", lambda: False)
    monkeypatch.setattr("slimbake.host.apt.may_install", lambda root: root)
    programs(monkeypatch, installed=True)
    processes = faked(monkeypatch)
    has = ("docker.io", "docker-cli", "docker-buildx", "docker-compose")
    processes.answer("apt-cache policy", "".join(f"{name}:\n  Candidate: 1\n" for name in has))
    processes.answer("apt-get")
    return Machine(monkeypatch, processes)


def test_an_engine_that_answers_is_left_alone(bare: Machine) -> None:
    bare.infos = [GRAPH]
    assert setup(True, QUIET).store == "graph"
    assert (bare.did, bare.processes.started) == ([], [])


def test_compose_is_installed_beside_an_engine_that_answers(bare: Machine) -> None:
    bare.infos = [with_buildx("0.13.1")]
    assert setup(True, QUIET).compose is None
    (installed,) = [line for line in bare.processes.started if " install " in line]
    assert installed.endswith(" docker-compose")
    assert bare.did == [], "the engine is left alone"


def test_an_engine_bakes_without_compose(bare: Machine) -> None:
    said: list[str] = []
    bare.processes.answer("apt-get", stderr="no network", code=100)
    bare.infos = [with_buildx("0.13.1")]
    assert setup(True, Console(said.append)).buildx == (0, 13, 1)
    assert said[-1].startswith("Docker Compose could not be installed: ")


def test_on_a_bare_machine_the_engine_is_installed_and_started(bare: Machine) -> None:
    bare.infos = [None, None, NO_DAEMON, CONTAINERD]
    assert setup(True, QUIET).store == "containerd"
    (installed,) = [line for line in bare.processes.started if " install " in line]
    assert installed.endswith(
        "docker.io docker-cli docker-buildx docker-compose iptables ca-certificates"
    )
    assert bare.did == ["start"]


def test_under_systemd_the_store_is_configured_before_and_the_service_started(
    bare: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "systemd_runs", lambda: True)
    bare.infos = [None, None, NO_DAEMON, CONTAINERD]
    setup(True, QUIET)
    assert bare.did == ["configure", "start service"]


def test_a_missing_buildx_is_added_and_nothing_else(bare: Machine) -> None:
    bare.infos = [with_buildx(""), with_buildx(""), CONTAINERD]
    setup(True, QUIET)
    (installed,) = [line for line in bare.processes.started if " install " in line]
    assert installed.endswith(" docker-buildx")
    assert "docker.io" not in installed
    assert bare.did == []


def test_without_leave_nothing_is_installed_and_the_command_is_said(bare: Machine) -> None:
    bare.infos = [None]
    with pytest.raises(SetupError, match="no docker") as caught:
        setup(False, QUIET)
    assert caught.value.hint == "run `slimbake setup --install-engine`"
    assert (bare.did, bare.processes.started) == ([], [])


def test_an_installed_engine_is_started_without_being_asked_for(bare: Machine) -> None:
    bare.infos = [NO_DAEMON, NO_DAEMON, CONTAINERD]
    assert setup(False, QUIET).version == "26.1.5"
    assert bare.did == ["start"]


def test_no_engine_is_started_where_docker_host_names_another(
    bare: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    bare.infos = [NO_DAEMON]
    with pytest.raises(SetupError) as caught:
        setup(True, QUIET)
    assert "DOCKER_HOST" in caught.value.hint
    assert bare.did == []


def test_apts_last_words_are_in_the_error(bare: Machine) -> None:
    bare.infos = [None]
    bare.processes.answer("apt-get", stderr="E: Unable to fetch some archives\n", code=100)
    with pytest.raises(SetupError, match="E: Unable to fetch some archives"):
        setup(True, QUIET)


def test_the_configuration_adds_the_store_to_what_the_system_says_and_never_overrules_it() -> None:
    assert configured({}) == {"features": {"containerd-snapshotter": True}}
    assert configured({"data-root": "/srv", "features": {"cdi": True}}) == {
        "data-root": "/srv",
        "features": {"containerd-snapshotter": True, "cdi": True},
    }
    assert configured({"features": {"containerd-snapshotter": False}})["features"] == {
        "containerd-snapshotter": False
    }


def test_the_systems_configuration_is_written_where_there_is_none_and_else_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dockerd, "SYSTEM_CONFIG", tmp_path / "docker/daemon.json")
    dockerd.configure_system()
    assert json.loads(dockerd.SYSTEM_CONFIG.read_text()) == configured({})
    dockerd.SYSTEM_CONFIG.write_text('{"data-root": "/srv"}')
    dockerd.configure_system()
    assert dockerd.SYSTEM_CONFIG.read_text() == '{"data-root": "/srv"}'


class Daemon:
    """A dockerd that ended as soon as it was started."""

    pid = os.getpid()
    running = False


def test_a_dockerd_that_ends_gives_the_last_lines_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(dockerd, "SYSTEM_CONFIG", tmp_path / "none.json")
    programs(monkeypatch, installed=True)

    def detach(argv: list[object], log: Path, *, env: dict[str, str]) -> Daemon:
        assert argv[2:5] == [rooted.__file__, "/usr/bin/dockerd", "--config-file"]
        log.write_text("starting\nfailed to start daemon: no iptables\n")
        return Daemon()

    monkeypatch.setattr(process, "detach", detach)
    with pytest.raises(
        SetupError, match="dockerd ended:\nstarting\nfailed to start daemon: no iptables"
    ):
        dockerd.start_daemon(lambda: False, QUIET)


def test_only_the_process_that_we_started_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, kind: killed.append((pid, kind)))
    record = tmp_path / "slimbake/dockerd.started.json"
    assert dockerd.ours() is None
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    for content, found in (
        ({"pid": os.getpid(), "ticks": ticks}, StartedDaemon(os.getpid(), ticks)),
        ({"pid": os.getpid(), "ticks": ticks + 1}, None),  # its number went to another process
        ({"pid": 2**22 + 1, "ticks": 1}, None),
        ({"pid": "x"}, None),
    ):
        record.write_text(json.dumps(content))
        assert dockerd.ours() == found
    assert dockerd.stop_daemon(QUIET) is False
    assert killed == []


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


def test_a_builder_that_buildx_does_not_tell_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, waits = asked(monkeypatch, tmp_path, "ERROR: EOF", "Driver: docker-container\n")
    assert isinstance(found, DockerEngine) and found.builder == "docker-container"
    assert waits == [1]


def test_a_builder_that_buildx_never_tells_is_absent_in_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, _ = asked(monkeypatch, tmp_path, *["ERROR: no builder afar found"] * 3)
    assert isinstance(found, Absent) and found.what == "builder"
    assert found.found.endswith("which builder it uses: ERROR: no builder afar found")
    assert "docker buildx use default" in remedy(found, debian())
