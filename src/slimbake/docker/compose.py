"""Docker Compose: the containers of one project, started, looked at and removed together."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake.docker.command import call
from slimbake.errors import SetupError

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
        here = self.files[0].parent
        own = {os.path.realpath(each) for each in (here, here.parent)}
        folders = call("container", "ls", "--all", name, form).splitlines()
        return next((each for each in folders if os.path.realpath(each) not in own), "")

    @property
    def data_elsewhere(self) -> tuple[str, str]:
        """A volume of this project that another folder made, and that folder, which is still there;
        ("", "") for none.
        """
        own = f"--filter=label={_LABEL}.project={self.name}"
        form = f'--format={{{{.Name}}}}\t{{{{.Label "{FOLDER}"}}}}'
        rows = (line.split("\t") for line in call("volume", "ls", own, form).splitlines())
        mine = str(self.files[0].parent)
        return next(
            ((name, of) for name, of in rows if of and of != mine and Path(of).is_dir()), ("", "")
        )

    def make_volumes(self, names: Iterable[str]) -> None:
        """Make these volumes where there are none, as Compose would, and with whose they are.

        Compose takes a volume that is there for its own, whichever folder it works in.
        """
        for name in names:
            labels = {f"{_LABEL}.project": self.name, f"{_LABEL}.volume": name}
            labels[FOLDER] = str(self.files[0].parent)
            marks = (f"--label={key}={value}" for key, value in labels.items())
            call("volume", "create", *marks, f"{self.name}_{name}")

    def up(self, services: Sequence[str]) -> None:
        """Start these services in the background; what runs as it should already, stays."""
        if services:  # without a name, Compose takes all
            self._show("up", "--detach", *services)

    def down(self, volumes: bool) -> None:
        """Remove all containers and the network, and the volumes if asked to."""
        self._show("down", "--remove-orphans", *(("--volumes",) if volumes else ()))
        if volumes:
            name = f"--filter=label={_LABEL}.project={self.name}"
            mine = f"--filter=label={FOLDER}={self.files[0].parent}"
            if left := call("volume", "ls", "--quiet", name, mine).split():
                call("volume", "rm", *left)

    def restart(self, services: Sequence[str]) -> None:
        """End the containers of these services, and start them again."""
        if services:
            call(*self._words, "restart", *services)

    def states(self) -> dict[str, ContainerState]:
        """How the container of each service does."""
        ids = call(*self._words, "ps", "--quiet", "--all").split()
        found = json.loads(call("container", "inspect", *ids)) if ids else []
        services = (container["Config"]["Labels"][f"{_LABEL}.service"] for container in found)
        return dict(zip(services, map(_state, found), strict=True))

    def last_words(self, service: str, lines: int) -> str:
        """The last lines that a service wrote."""
        text = call(*self._words, "logs", "--no-log-prefix", f"--tail={lines}", service)
        return text.replace(CLEAR, "").strip()

    def logs(self, services: Sequence[str], follow: bool) -> int:
        """Show what services wrote, on this process's own stdout; the exit code."""
        words = ("logs", *(("--follow",) if follow else ()), *services)
        if follow or sys.stdout.isatty():
            return self._foreground(*words)
        sys.stdout.write(call(*self._words, *words).replace(CLEAR, ""))
        return 0

    def run(self, service: str, arguments: Sequence[str]) -> int:
        """Run a service on this process's own stdin, stdout and stderr; its exit code."""
        terminal = () if sys.stdin.isatty() and sys.stdout.isatty() else ("--no-TTY",)
        return self._foreground("--progress=quiet", "run", "--rm", *terminal, service, *arguments)

    def _show(self, *words: str) -> None:
        """Run a command of Compose whose progress is shown. Raises SetupError."""
        if self._foreground(*words):
            raise SetupError("docker compose failed")

    def _foreground(self, *words: str) -> int:
        # A start of some services names some: Compose is to warn of no others.
        environment = {**os.environ, "COMPOSE_IGNORE_ORPHANS": "true"}
        command = ["docker", *self._words, *words]
        return subprocess.run(command, env=environment, check=False).returncode

    @property
    def _words(self) -> tuple[str, ...]:
        # Of every profile: what was started by its name is to be seen and removed, too.
        return (
            "compose",
            *(f"--file={file}" for file in self.files),
            "--profile=*",
            *(f"--env-file={file}" for file in self.env_files),
            f"--project-name={self.name}",
        )


def _state(container: Any) -> ContainerState:
    """As `docker container inspect` describes it."""
    state = container["State"]
    health = state.get("Health") or {}
    looks = health.get("Log") or ()
    ports = (container["NetworkSettings"].get("Ports") or {}).values()
    return ContainerState(
        name=container["Name"].removeprefix("/"),
        code=None if state["Running"] else state["ExitCode"],
        health=health.get("Status", ""),
        published=next((int(on[0]["HostPort"]) for on in ports if on), None),
        error=state.get("Error", ""),
        check=looks[-1]["Output"].strip() if looks and looks[-1]["ExitCode"] else "",
    )


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
        found = re.search(r"(?:[\d.]+|\[[\da-f:]*\]):(\d+)", self.error)
        return found[1] if found and "already" in self.error else ""


def compose_version() -> tuple[int, ...]:
    """The version of Docker Compose; () where there is none."""
    with contextlib.suppress(SetupError):
        return version_of(call("compose", "version", "--short")) or ()
    return ()


def version_of(text: str) -> tuple[int, int, int] | None:
    """The version that a text names; None where it names none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def require_compose() -> None:
    """Raise SetupError where there is no Docker Compose, or an old one."""
    if (version := compose_version()) < FLOOR:
        found = f"{version[0]}.{version[1]} is too old" if version else "is not installed"
        raise SetupError(f"Docker Compose {found}: 2.26 is the oldest that serves", INSTALL)
