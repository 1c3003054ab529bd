"""The Docker engine: what is there, and setting one up where none is."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from slimbake.console import Console
from slimbake.docker import daemon as dockerd
from slimbake.docker.compose import FLOOR as COMPOSE_FLOOR
from slimbake.docker.compose import version_of
from slimbake.errors import SetupError
from slimbake.host import apt as aptget
from slimbake.host import process
from slimbake.host.files import exclusively
from slimbake.host.machine import Machine, machine
from slimbake.host.systemd import systemd_runs

Version = tuple[int, int, int]

BUILDX_FLOOR: Version = (0, 13, 0)
UNKNOWN: Version = (0, 0, 0)  # of a buildx that was built without its version, as distributions do

_COMPOSE = ("docker-compose-plugin", "docker-compose-v2", "docker-compose")
_NEEDED = "Docker Engine with its client, and buildx 0.13 or newer"


BUILDER_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerEngine:
    """A Docker engine that answers."""

    version: str
    # The image store; sizes as pushed can be measured with containerd's only.
    store: Literal["containerd", "graph"]
    buildx: Version
    # The driver of the builder that is in use: `docker`, `docker-container`, ...
    builder: str
    endpoint: str
    # Whether slimbake started it, and so may stop it.
    started: bool
    compose: Version | None = None
    # Buildx itself: the client takes as long to find it as an edit's image takes to be put together.
    program: str = ""

    @property
    def two_outputs(self) -> bool:
        """Whether its own builder can put out an image and a layout of it in one build: since
        BuildKit 0.13.
        """
        newest = re.match(r"\d+", self.version)
        return (
            self.builder == "docker"
            and self.store == "containerd"
            and newest is not None
            and int(newest[0]) >= 26
        )


@dataclass(frozen=True, slots=True)
class Absent:
    """Why there is no engine to work with."""

    what: Literal["client", "daemon", "permission", "buildx", "old buildx", "builder"]
    found: str


def setup(install: bool, console: Console) -> DockerEngine:
    """Find the engine; else start the one that is installed; else, where `install` is given,
    install one.

    Starting and installing need root; installing needs apt (Debian, Ubuntu). An engine that answers
    is never changed. Raises SetupError, which says what to do, when there is none in the end.
    """
    found = find()
    here = machine()
    if isinstance(found, DockerEngine):
        if install and (found.compose or ()) < COMPOSE_FLOOR and aptget.may_install(here.root):
            _install_compose(console)
        return found
    with exclusively("engine", console):
        found = find()
        if (
            isinstance(found, Absent)
            and found.what in {"client", "buildx", "old buildx"}
            and install
        ):
            _install(found, here, console)
            found = find()
        if isinstance(found, Absent) and found.what == "daemon" and _may_start(here):
            starter = dockerd.start_docker_service if systemd_runs() else dockerd.start_daemon
            starter(_answers, console)
            found = find()
    if isinstance(found, Absent):
        raise SetupError(found.found, remedy(found, here))
    return found


def stop_engine(console: Console) -> bool:
    """Stop the engine that slimbake started itself, and no other; false where there is none."""
    with exclusively("engine", console):
        return dockerd.stop_daemon(console)


def find() -> DockerEngine | Absent:
    """Look for the engine that the docker CLI is set to use, and change nothing."""
    if shutil.which("docker") is None:
        return Absent("client", "Docker is not installed: no `docker` on PATH")
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(_builder_driver)
        asked = process.execute(["docker", "info", "--format", "{{json .}}"], timeout=process.LOOK)
    try:
        info = json.loads(asked.stdout)
    except ValueError:
        info = {}
    driver, problem = asking.result()
    found = describe(
        info,
        asked.stderr,
        builder=driver,
        endpoint=os.environ.get("DOCKER_HOST", ""),
        started=dockerd.ours() is not None,
        bakes=_bakes,
    )
    for _ in range(BUILDER_TRIES - 1):
        if isinstance(found, Absent) or found.builder:
            return found
        # Another buildx may be writing its state, or was killed while it did.
        time.sleep(1)
        driver, problem = _builder_driver()
        found = replace(found, builder=driver)
    if isinstance(found, DockerEngine) and not found.builder:
        return Absent("builder", f"buildx does not say which builder it uses: {problem}")
    return found


def describe(
    info: Mapping[str, Any],
    errors: str,
    *,
    builder: str,
    endpoint: str,
    started: bool,
    bakes: Callable[[], bool],
) -> DockerEngine | Absent:
    """The engine that `docker info` describes, or why none can be used.

    `bakes`: whether a buildx that tells no version can do what the oldest that serves can.
    """
    problems = " ".join(info.get("ServerErrors") or [errors.strip()])
    if "permission denied" in problems:
        return Absent("permission", "you may not use the Docker engine's socket")
    buildx = version_of(_plugin(info, "buildx", "Version"))
    if not info.get("ServerVersion"):
        return Absent("daemon", f"the Docker engine does not answer: {problems or 'no answer'}")
    if buildx is None:
        return Absent("buildx", "Docker's buildx plugin is not installed")
    if buildx < BUILDX_FLOOR and not (buildx == UNKNOWN and bakes()):
        return Absent(
            "old buildx",
            f"buildx {version_text(buildx)} is too old: {version_text(BUILDX_FLOOR)} is the oldest"
            " that serves",
        )
    kinds = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    return DockerEngine(
        version=info["ServerVersion"],
        store="containerd" if "containerd" in kinds.get("driver-type", "") else "graph",
        buildx=buildx,
        builder=builder,
        endpoint=endpoint or info.get("ClientInfo", {}).get("Context", "default"),
        started=started and not endpoint,
        compose=version_of(_plugin(info, "compose", "Version")),
        program=_plugin(info, "buildx", "Path"),
    )


def remedy(absent: Absent, here: Machine) -> str:
    """What to do about an engine that is absent, on this machine."""
    packages = "docker.io docker-buildx" + (" docker-cli" if here.system == "debian" else "")
    if absent.what == "permission":
        return "run slimbake as root, or put yourself into the group `docker` and log in again"
    if absent.what == "daemon":
        if os.environ.get("DOCKER_HOST"):
            return "start the engine that DOCKER_HOST names, or unset DOCKER_HOST"
        return "start it, as root: `systemctl start docker`, or run `slimbake setup` as root"
    if absent.what == "builder":
        return "see `docker buildx ls`; `docker buildx use default` chooses the engine's own"
    if aptget.may_install(here.root):
        return "run `slimbake setup --install-engine`"
    if here.system in {"debian", "ubuntu"}:
        return f"run `slimbake setup --install-engine` as root, or install {packages}"
    return f"install {_NEEDED}: https://docs.docker.com/engine/install/"


def packages_for(apt_has: frozenset[str]) -> tuple[str, ...]:
    """The packages of apt that make an engine: Docker's own where its repository is set up, else
    Debian's.

    Raises SetupError where apt lacks a part: Debian 12, say, has no buildx.
    """
    if {"docker-ce", "docker-buildx-plugin"} <= apt_has:
        return (
            "docker-ce",
            "docker-ce-cli",
            "containerd.io",
            "docker-buildx-plugin",
            *compose_for(apt_has),
            "iptables",
            "ca-certificates",
        )
    buildx = next(
        (name for name in ("docker-buildx", "docker-buildx-plugin") if name in apt_has), None
    )
    if "docker.io" not in apt_has or buildx is None:
        raise SetupError(
            "apt on this machine has no Docker engine with buildx",
            f"install {_NEEDED}: https://docs.docker.com/engine/install/",
        )
    client = ("docker-cli",) if "docker-cli" in apt_has else ()
    return ("docker.io", *client, buildx, *compose_for(apt_has), "iptables", "ca-certificates")


def compose_for(apt_has: frozenset[str]) -> tuple[str, ...]:
    """The package of apt that is Docker Compose: Docker's, else Ubuntu's, else Debian's."""
    return tuple(name for name in _COMPOSE if name in apt_has)[:1]


def _install(found: Absent, here: Machine, console: Console) -> None:
    if not aptget.may_install(here.root):
        raise SetupError(found.found, remedy(found, here))
    aptget.update(console)
    wanted = packages_for(
        aptget.available(
            (
                *("docker.io", "docker-cli", "docker-buildx", "docker-ce", "docker-buildx-plugin"),
                *_COMPOSE,
            )
        )
    )
    if found.what != "client":
        wanted = tuple(name for name in wanted if "buildx" in name)
    elif systemd_runs():
        dockerd.configure_system()
    aptget.install_packages(wanted, console)


def _install_compose(console: Console) -> None:
    """Install Docker Compose beside an engine, which bakes without it."""
    try:
        aptget.update(console)
        if not (packages := compose_for(aptget.available(_COMPOSE))):
            raise SetupError("apt on this machine has none")
        aptget.install_packages(packages, console)
    except SetupError as error:
        console.say(f"Docker Compose could not be installed: {error}; `up` and `run` need it")


def _may_start(here: Machine) -> bool:
    return (
        here.root
        and not os.environ.get("DOCKER_HOST")
        and shutil.which("dockerd", path=aptget.system_path()) is not None
    )


def _answers() -> bool:
    return process.execute(
        ["docker", "version", "--format", "{{.Server.Version}}"], timeout=process.LOOK
    ).ok


def _plugin(info: Mapping[str, Any], name: str, key: str) -> str:
    """What the client says of a plugin; "" where it has none."""
    plugins = info.get("ClientInfo", {}).get("Plugins") or []
    shown = (each.get(key, "") for each in plugins if each.get("Name") == name)
    return next(shown, "")


def _builder_driver() -> tuple[str, str]:
    """The driver of the builder in use, "" where buildx names none; and what buildx says of that."""
    shown = process.execute(["docker", "buildx", "inspect"], timeout=process.LOOK)
    found = re.search(r"^Driver:\s*(\S+)", shown.stdout, re.MULTILINE)
    return (found[1], "") if found else ("", shown.last_lines() or "no answer")


def _bakes() -> bool:
    """Whether buildx shows progress as data, which it learned in 0.13."""
    words = ("buildx", "bake", "--progress=rawjson", "--print", "--file=-", "none")
    return process.execute(["docker", *words], stdin='target "none" {}', timeout=process.LOOK).ok


def version_text(version: Version) -> str:
    """A version as people write it."""
    if version == UNKNOWN:
        return "of an unknown version"
    return ".".join(map(str, version))
