"""Docker Compose: the containers of one project, started, looked at and removed together."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slimbake.docker.command import call, client
from slimbake.errors import DockerError, SetupError

if TYPE_CHECKING:
    from python_on_whales import Container, DockerClient

FLOOR = (2, 26, 0)
FOLDER = "slimbake.folder"  # label of a volume: where the compose file lies that it belongs to
_LABEL = "com.docker.compose"  # what the labels that Compose gives begin with
# What Compose 2.26 clears the line with before each line of a log, on a terminal or not, with
# any --ansi (docker/compose#11727).
CLEAR = "\x1b[2K"
INSTALL = (
    "install Docker Compose: the package docker-compose, docker-compose-v2 or docker-compose-plugin"
)


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """What Compose works on."""

    name: str
    files: tuple[Path, ...]  # each on top of those before
    env_files: tuple[Path, ...] = ()  # of variables that Compose fills in

    @property
    def elsewhere(self) -> str:
        """The folder of another project of this name that has containers here; "" for none.

        Not another are those that somebody started with `docker compose` in the repository itself,
        one folder above.
        """
        name = f"--filter=label={_LABEL}.project={self.name}"
        form = f'--format={{{{.Label "{_LABEL}.project.working_dir"}}}}'
        ours = {os.path.realpath(folder) for folder in [*self.files[0].parents][:2]}
        for folder in call("container", "ls", "--all", name, form).splitlines():
            if os.path.realpath(folder) not in ours:
                return folder
        return ""

    @property
    def data_elsewhere(self) -> tuple[str, str]:
        """A volume of this project that another folder made, and that folder, which is still there;
        ("", "") for none.
        """
        project_filter = f"--filter=label={_LABEL}.project={self.name}"
        form = f'--format={{{{.Name}}}}\t{{{{.Label "{FOLDER}"}}}}'
        for line in call("volume", "ls", project_filter, form).splitlines():
            name, folder = line.split("\t")
            if folder not in ("", str(self.files[0].parent)) and Path(folder).is_dir():
                return name, folder
        return "", ""

    def make_volumes(self, names: Iterable[str]) -> None:
        """Make these volumes where there are none, as Compose would, and with whose they are.

        Compose takes a volume that is there for its own, whichever folder it works in.
        """
        with self._client() as docker:
            for name in names:
                labels = {
                    f"{_LABEL}.project": self.name,
                    f"{_LABEL}.volume": name,
                    FOLDER: str(self.files[0].parent),
                }
                docker.volume.create(f"{self.name}_{name}", labels=labels)

    def up(self, services: Sequence[str]) -> None:
        """Start these services in the background; what runs as it should already, stays."""
        with self._client() as docker:
            docker.compose.up(list(services), detach=True)

    def down(self, volumes: bool) -> list[str]:
        """Remove all containers and the network, and the volumes if asked to; the services that their
        stop signal did not end.
        """
        running = [name for name, state in self.states().items() if state.code is None]
        with self._client() as docker:
            docker.compose.stop()
            states = self.states()
            docker.compose.down(volumes=volumes, remove_orphans=True)
        ours = (
            f"--filter=label={_LABEL}.project={self.name}",
            f"--filter=label={FOLDER}={self.files[0].parent}",
        )
        if volumes:
            left = call("volume", "ls", "--quiet", *ours)
            if left:
                call("volume", "rm", *left.split())
        killed = []
        for name in running:
            if name in states and states[name].code == 137:  # by SIGKILL
                killed.append(name)
        return killed

    def restart(self, services: Sequence[str]) -> None:
        """End the containers of these services, and start them again."""
        with self._client() as docker:
            docker.compose.restart(list(services))

    def states(self) -> dict[str, ContainerState]:
        """How the container of each service does."""
        states = {}
        with self._client() as docker:
            for container in docker.compose.ps(all=True):
                labels = container.config.labels or {}
                states[labels.get(f"{_LABEL}.service", "")] = _state(container)
        return states

    def last_words(self, service: str, lines: int) -> str:
        """The last lines that a service wrote."""
        with self._client() as docker:
            text = str(docker.compose.logs(service, tail=str(lines), no_log_prefix=True))
        return text.replace(CLEAR, "").strip()

    def logs(self, services: Sequence[str], follow: bool) -> int:
        """Show what services wrote, on this process's own stdout; the exit code."""
        if follow:
            return self._foreground("logs", "--follow", *services)
        if sys.stdout.isatty():
            return self._foreground("logs", *services)
        with self._client() as docker:
            sys.stdout.write(str(docker.compose.logs(list(services))).replace(CLEAR, ""))
        return 0

    def run(self, service: str, arguments: Sequence[str]) -> int:
        """Run a service on this process's own stdin, stdout and stderr; its exit code."""
        # Not python-on-whales: it gives no stdin, and raises on an exit code.
        options = ["--rm"]
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            options.append("--no-TTY")
        return self._foreground("--progress=quiet", "run", *options, service, *arguments)

    def _foreground(self, *arguments: str) -> int:
        with self._client() as docker:
            compose = [str(word) for word in docker.client_config.docker_compose_cmd]
        return subprocess.run([*compose, *arguments], check=False).returncode

    @contextlib.contextmanager
    def _client(self) -> Iterator[DockerClient]:
        # A start of some services names some: Compose is to warn of no others.
        os.environ.setdefault("COMPOSE_IGNORE_ORPHANS", "true")
        # Of every profile: what was started by its name is to be seen and removed, too.
        with client(
            compose_files=list(self.files),
            compose_env_files=list(self.env_files),
            compose_project_name=self.name,
            compose_profiles=["*"],
        ) as docker:
            yield docker


@dataclass(frozen=True, slots=True)
class ContainerState:
    """How a container does."""

    name: str
    code: int | None  # None while it runs
    health: str  # "" where nothing asks; else starting, healthy, unhealthy
    published: int | None  # the host's port
    error: str = ""  # why the engine did not start it
    check: str = ""  # what its health check said last, if that failed

    @property
    def taken(self) -> str:
        """The port of the host that it was to have and that another has; "" where that is not why
        it did not start.
        """
        match = re.search(r"(?:(?<![\d.])[\d.]+|\[[\da-f:]*\]):(\d+)", self.error)
        if match and "already" in self.error:
            return match[1]
        return ""


def _state(container: Container) -> ContainerState:
    state = container.state
    code = None
    if not state.running:
        code = state.exit_code
    health = ""
    check = ""
    if state.health:
        health = state.health.status or ""
        looks = state.health.log
        if looks and looks[-1].exit_code:
            check = (looks[-1].output or "").strip()
    published = None
    for addresses in (container.network_settings.ports or {}).values():
        if addresses:
            published = int(addresses[0]["HostPort"])
            break
    return ContainerState(container.name, code, health, published, state.error or "", check)


def compose_version() -> tuple[int, ...]:
    """The version of Docker Compose; () where there is none."""
    with contextlib.suppress(SetupError):
        return version_of(call("compose", "version", "--short")) or ()
    return ()


def version_of(text: str) -> tuple[int, int, int] | None:
    """The version that a text names; None where it names none."""
    match = re.search(r"(?<!\d)(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        return None
    return int(match[1]), int(match[2]), int(match[3] or 0)


def require_compose() -> None:
    """Raise SetupError where there is no Docker Compose, or an old one."""
    version = compose_version()
    if version < FLOOR:
        problem = "is not installed"
        if version:
            problem = f"{version[0]}.{version[1]} is too old"
        raise DockerError(f"Docker Compose {problem}: 2.26 is the oldest that serves", INSTALL)
