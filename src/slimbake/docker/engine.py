"""The Docker engine: what is there, and what to do where none is."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from slimbake.docker.command import call
from slimbake.docker.compose import version_of
from slimbake.errors import SetupError
from slimbake.host import process

Version = tuple[int, int, int]

BUILDX_FLOOR: Version = (0, 13, 0)

BUILDER_TRIES = 3

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as the kernel and images call them


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
    # Of the machine that the engine runs on, which may be another one than this: its platform as
    # images name it, its cores, its bytes of memory.
    platform: str
    cores: int
    memory: int
    # What the builder in use says that it builds for; empty where it does not say.
    builds_for: frozenset[str] = frozenset()
    compose: Version | None = None

    @property
    def two_outputs(self) -> bool:
        """Whether its own builder can put out an image and a layout of it in one build: since
        BuildKit 0.13.
        """
        return (
            self.builder == "docker"
            and self.store == "containerd"
            and (version_of(self.version) or (0,))[0] >= 26
        )

    @property
    def writes_caches(self) -> bool:
        """Whether its own builder may be asked to write a cache. BuildKit before 0.25, which Docker has
        before 28.5, can overflow its stack there, and the engine ends (moby/buildkit#6129).
        """
        return self.builder != "docker" or (version_of(self.version) or (0,)) >= (28, 5)


@dataclass(frozen=True, slots=True)
class Absent:
    """Why there is no engine to work with."""

    what: Literal["client", "daemon", "permission", "buildx", "old buildx", "builder"]
    found: str


def expect_engine() -> DockerEngine:
    """The engine that the docker CLI is set to use. Raises SetupError, which says what to do, where
    none answers.
    """
    engine = find()
    if isinstance(engine, Absent):
        raise SetupError(engine.found, remedy(engine))
    return engine


def find() -> DockerEngine | Absent:
    """Look for the engine that the docker CLI is set to use, and change nothing."""
    if shutil.which("docker") is None:
        return Absent("client", "Docker is not installed: no `docker` on PATH")
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(_builder)
        completed = process.execute(
            ["docker", "info", "--format", "{{json .}}"], timeout=process.LOOK
        )
    info = json.loads(completed.stdout) if completed.stdout.startswith("{") else {}
    driver, builds_for, problem = asking.result()
    engine = describe(
        info, completed.stderr, builder=driver, endpoint=os.environ.get("DOCKER_HOST", "")
    )
    if isinstance(engine, Absent):
        return engine
    if not engine.builder:
        return Absent("builder", f"buildx does not say which builder it uses: {problem}")
    return replace(engine, builds_for=builds_for)


@cache
def engine_platform() -> str:
    """The platform of the machine that the engine runs on, as images name it. Raises DockerError."""
    return call("version", "--format={{.Server.Os}}/{{.Server.Arch}}", timeout=process.LOOK).strip()


def describe(
    info: Mapping[str, Any],
    errors: str,
    *,
    builder: str,
    endpoint: str,
) -> DockerEngine | Absent:
    """The engine that `docker info` describes, or why none can be used."""
    problems = " ".join(info.get("ServerErrors") or [errors.strip()])
    if "permission denied" in problems:
        return Absent("permission", "you may not use the Docker engine's socket")
    buildx = version_of(_plugin(info, "buildx"))
    if not info.get("ServerVersion"):
        return Absent("daemon", f"the Docker engine does not answer: {problems or 'no answer'}")
    if buildx is None:
        return Absent("buildx", "Docker's buildx plugin is not installed")
    # One that was built without its version, as distributions do, says 0.0.0.
    if (0, 0, 0) < buildx < BUILDX_FLOOR:
        return Absent(
            "old buildx",
            f"buildx {'.'.join(map(str, buildx))} is too old: 0.13 is the oldest that serves",
        )
    architecture = info.get("Architecture", "")
    kinds = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    return DockerEngine(
        version=info["ServerVersion"],
        store="containerd" if "containerd" in kinds.get("driver-type", "") else "graph",
        buildx=buildx,
        builder=builder,
        endpoint=endpoint or info.get("ClientInfo", {}).get("Context", "default"),
        platform=f"linux/{_ARCHITECTURES.get(architecture, architecture)}",
        cores=info.get("NCPU", 1),
        memory=info.get("MemTotal", 0),
        compose=version_of(_plugin(info, "compose")),
    )


def not_run(engine: DockerEngine, platforms: Collection[str]) -> tuple[str, str] | None:
    """Which of these platforms the builder runs no programs of, and what to do; None where it runs
    all, or does not say.
    """
    lacking = sorted({*platforms} - engine.builds_for)
    if not lacking or not engine.builds_for:
        return None
    architectures = ",".join(platform.partition("/")[2] for platform in lacking)
    return (
        f"the builder runs {engine.platform} and not {', '.join(lacking)}, which `platforms` names",
        f"set `platforms: [{engine.platform}]` in services.yaml and run `slimbake lock`; or have the"
        " engine emulate the other: `docker run --privileged --rm tonistiigi/binfmt --install"
        f" {architectures}`",
    )


_INSTALL = (
    "install Docker Engine with buildx and Compose: https://docs.docker.com/engine/install/ (on"
    " Debian: `apt-get install docker.io docker-cli docker-buildx docker-compose`; on Ubuntu:"
    " `apt-get install docker.io docker-buildx docker-compose-v2`)"
)

_ON_MAC = {
    "client": "install Docker Desktop, OrbStack or Colima (with `docker-buildx`, `docker-compose`)",
    "daemon": "start Docker Desktop, OrbStack or Colima (`colima start`)",
    "permission": "run Docker Desktop, OrbStack or Colima as this user; `docker context ls` shows"
    " which socket is asked",
}

_REMEDIES = {
    "permission": "run slimbake as root, or put yourself into the group `docker` and log in again; in a"
    ' container, `docker run` needs `--group-add "$(stat -c %g /var/run/docker.sock)"`',
    "daemon": "start it, as root: `systemctl start docker`; in a container, `docker run` needs"
    " `--volume /var/run/docker.sock:/var/run/docker.sock`",
    "builder": "see `docker buildx ls`; `docker buildx use default` chooses the engine's own",
}


def remedy(absent: Absent) -> str:
    """What to do about an engine that is absent, on this machine: commands, where they are known."""
    if absent.what == "daemon":
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_API_VERSION"):
            if os.environ.get(name):
                return f"start the engine that {name} names, or unset it: Docker then uses its own"
    if sys.platform == "darwin" and absent.what in _ON_MAC:
        return _ON_MAC[absent.what]
    return _REMEDIES.get(absent.what, _INSTALL)


def _plugin(info: Mapping[str, Any], name: str) -> str:
    """The version of a plugin of the client; "" where it has none."""
    for plugin in info.get("ClientInfo", {}).get("Plugins") or []:
        if plugin.get("Name") == name:
            return str(plugin.get("Version", ""))
    return ""


def _builder() -> tuple[str, frozenset[str], str]:
    """The driver of the builder in use, "" where buildx names none; the platforms that it says it
    builds for; and what buildx says where it names no driver.
    """
    for attempt in range(BUILDER_TRIES):
        time.sleep(attempt)  # another buildx may be writing its state, or was killed while it did
        shown = process.execute(["docker", "buildx", "inspect"], timeout=process.LOOK)
        if match := re.search(r"^Driver:\s*(\S+)", shown.stdout, re.MULTILINE):
            platforms: set[str] = set()
            for line in re.findall(r"^Platforms:\s*(.+)$", shown.stdout, re.MULTILINE):
                # `linux/amd64*` is one that somebody chose for this builder.
                platforms.update(name.strip(" *") for name in line.split(","))
            return match[1], frozenset(platforms - {""}), ""
    return "", frozenset(), shown.last_lines() or "no answer"
