"""Services of a repository's own compose file, started for one check.

They are a Compose project of their own: neither their data nor their ports are those of the
containers that somebody works with.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimbake.docker.command import call
from slimbake.docker.compose import CLEAR, require_compose
from slimbake.docker.containers import owned
from slimbake.errors import CheckError, SetupError
from slimbake.host.files import content
from slimbake.host.names import manifest_name

LAST_LINES = 12
_REQUIRED = re.compile(r"required variable (\w+) is missing a value")
# Keys of a service that leave something behind, conflict with another container, or reach further.
_OTHER_NETWORKS = ("networks", "network_mode", "profiles")
_LEFT_OUT = ("build", "container_name", "ports", "restart", *_OTHER_NETWORKS)


class NotBeside(CheckError):
    """The services that a check needs beside it did not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A service of the fleet that a check starts beside it."""

    host: str  # its name in the manifest
    said: Mapping[str, Any]  # its entry in a compose file, but for what the other fields say
    env_files: tuple[Path, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)  # variables that override all others
    after: tuple[str, ...] = ()  # services of the compose file, and hosts, that start before it


@dataclass(frozen=True, slots=True)
class OwnServices:
    """The services of a repository's own compose file, as Compose reads it: `$` is written `$$`."""

    said: Mapping[str, Any]  # the document

    def needed(self, services: Iterable[str], fleet: Collection[str] = ()) -> tuple[str, ...]:
        """These services and all that they depend on, without those that are in the fleet.

        `fleet`: names in the manifest.
        """
        names: set[str] = set()
        waiting = list(services)
        while waiting:
            name = waiting.pop()
            if name in names or manifest_name(name) in fleet:
                continue
            names.add(name)
            waiting += self.services[name].get("depends_on", ())
        return tuple(sorted(names))

    def images(self, services: Iterable[str]) -> dict[str, str]:
        """The image of each of these services; a service that is built has none."""
        images = {}
        for name in services:
            if "build" not in self.services[name]:
                images[name] = self.services[name]["image"]
        return images

    def variables(self, host: str) -> dict[str, str]:
        """The variables of the service that has this name in a manifest."""
        variables: dict[str, str | None] = self._entry(host).get("environment") or {}
        return {name: value for name, value in variables.items() if value is not None}

    def alone(self, services: Iterable[str]) -> dict[str, Any]:
        """A compose file of these services that has no network to the outside and leaves no data."""
        return {
            **self._secrets_and_configs(),
            "services": {name: _without_traces(self.services[name]) for name in services},
            "networks": {"default": {"internal": True, "labels": owned()}},
        }

    def neighbours(self, fleet: Iterable[Neighbour]) -> dict[str, Any]:
        """The services of the fleet for the same compose file.

        Each one answers to its name in the manifest and to those that it has in the compose file,
        and gets the variables that its entry there has.
        """
        neighbours = {neighbour.host: neighbour for neighbour in fleet}
        names_of: dict[str, list[str]] = {host: [] for host in neighbours}
        for name in self.services:
            if manifest_name(name) in names_of:
                names_of[manifest_name(name)].append(name)
        key_of = {}
        for host, names in names_of.items():
            key_of[host] = names[0] if names else host

        entries = {}
        for host, neighbour in neighbours.items():
            env_files = []
            for file in neighbour.env_files:
                path = str(file.absolute()).replace("$", "$$")
                env_files.append({"path": path, "required": False})
            aliases = {host, *names_of[host]} - {key_of[host]}
            waits_for = [key_of.get(name, name) for name in neighbour.after]
            entry = dict(neighbour.said)
            entry["labels"] = owned()
            entry["env_file"] = env_files
            entry["environment"] = {
                **neighbour.said.get("environment", {}),
                **self.variables(host),
                **neighbour.fixed,
            }
            entry["depends_on"] = self.awaits(host, waits_for)
            entry["networks"] = {"default": {"aliases": sorted(aliases)}}
            entries[key_of[host]] = entry
        return entries

    def joined(self, services: Collection[str]) -> dict[str, Any]:
        """These services and their volumes, as a part of a compose file of the fleet."""
        entries = {}
        used_volumes = set()
        for name in services:
            entry = dict(self.services[name])
            for key in _OTHER_NETWORKS:
                entry.pop(key, None)
            # Compose refuses a dependency on a service that is not in the file.
            depends_on = entry.pop("depends_on", {})
            waits_for = {other: how for other, how in depends_on.items() if other in services}
            if waits_for:
                entry["depends_on"] = waits_for
            for mount in entry.get("volumes", ()):
                if mount["type"] == "volume":
                    used_volumes.add(mount.get("source"))
            entries[name] = entry
        volumes = {}
        for name, volume in self.said.get("volumes", {}).items():
            if name in used_volumes:
                volumes[name] = volume
        return {**self._secrets_and_configs(), "services": entries, "volumes": volumes}

    def awaits(self, host: str, services: Iterable[str]) -> dict[str, Any]:
        """`depends_on` for the service that has this name in a manifest.

        Each of `services` has the condition that the compose file gives it, or else that it has
        started.
        """
        depends_on = self._entry(host).get("depends_on") or {}
        started = {"condition": "service_started"}
        return {service: depends_on.get(service, started) for service in services}

    @property
    def services(self) -> Any:
        """Each service as a mapping, by its name in the file."""
        return self.said["services"]

    def _entry(self, host: str) -> Any:
        """The entry of the service that has this name in a manifest; {} where there is none."""
        if self.services.get(host):
            return self.services[host]
        for name, entry in self.services.items():
            if manifest_name(name) == host:
                return entry
        return {}

    def _secrets_and_configs(self) -> dict[str, Any]:
        """What the file defines of both, for services of it that mount some."""
        return {key: self.said[key] for key in ("secrets", "configs") if key in self.said}


def own_services(file: Path, project: str = "") -> OwnServices:
    """Let Compose read a compose file.

    `project` is the Compose project whose volumes it names. Without one, a check is to use the
    file: a variable that the file demands (`${KEY:?}`) then gets a placeholder.

    Raises SetupError where there is no Compose, or where it cannot read the file.
    """
    require_compose()
    # Compose prints parts of files that it cannot read, so they have to lie in the repository.
    for path in (file, file.with_name(".env")):
        if path.exists():
            content(file.parent, path.name)
    options = [f"--file={file}"]
    if project:
        options.append(f"--project-name={project}")
    placeholders: dict[str, str] = {}
    while True:
        try:
            text = call(
                "compose", *options, "--profile=*", "config", "--format=json", env=placeholders
            )
            return OwnServices(json.loads(text))
        except SetupError as error:
            missing = _REQUIRED.search(error.hint)
            if missing is None or missing[1] in placeholders:
                raise
            if project:
                hint = f"{error.hint}\nset {missing[1]} in the shell or in `.env`"
                raise SetupError(error.message, hint) from None
            placeholders[missing[1]] = "1"  # a number, since it may be a port


@contextlib.contextmanager
def beside(
    name: str,
    file: Path,
    services: Sequence[str],
    host: str,
    variables: Sequence[Path] = (),
    environment: Mapping[str, str] = {},
    fleet: Sequence[Neighbour] = (),
) -> Iterator[tuple[str, ...]]:
    """Start services of a compose file, all that they depend on, and services of the fleet.

    They share a network without a way out. When the context ends, they are removed with all that
    they wrote. It gives the options of `docker run` for a container beside them.

    `name` is the name of their project. `file` is the compose file, or its folder if there is none
    and all services are of the fleet. The container gets the variables of `environment`, then of
    the files `variables`, then of `host`, a service of the compose file; later ones count. Raises
    SetupError where there is no Compose, and NotBeside for a compose file that it cannot read (a
    file of `env_file` may be missing) and for what does not start.
    """
    compose_services = OwnServices({"services": {}})
    dotenv = file / ".env"
    if not file.is_dir():
        dotenv = file.with_name(".env")
    if file.is_file():
        require_compose()
        try:
            compose_services = own_services(file)
        except SetupError as error:
            raise NotBeside(f"{file.name}: {error.message}", error.hint) from None
    with tempfile.TemporaryDirectory(prefix="slimbake-start-") as folder:
        of_host = compose_services.variables(host)
        others = {key: value for key, value in environment.items() if key not in of_host}
        container_variables = variables_of(variables, Path(folder), others, dotenv) | of_host
        options = [f"--network={name}_default"]
        for key, value in container_variables.items():
            options.append(f"--env={key}={value}".replace("$$", "$"))
        path = Path(folder, "compose.json")
        path.write_text(json.dumps(_together(compose_services, services, fleet)), "utf-8")
        project = ["compose", f"--project-name={name}", f"--file={path}"]
        if fleet and dotenv.is_file():
            project.append(f"--env-file={dotenv}")
        try:
            _start(project, (*services, *(neighbour.host for neighbour in fleet)))
            yield tuple(options)
        finally:
            call(*project, "down", "--volumes", "--remove-orphans", "--timeout=1")


def _start(project: Sequence[str], names: Sequence[str]) -> None:
    """Start a Compose project. Raises NotBeside, with the names of what it is for."""
    try:
        call(*project, "up", "--detach", "--wait", "--quiet-pull")
    except SetupError as error:
        reason = error.hint.rpartition("\n")[2]
        output = call(*project, "logs", f"--tail={LAST_LINES}").replace(CLEAR, "")
        raise NotBeside(
            f"what its start check needs did not start: {', '.join(names)}",
            f"{reason}\n{output}",
        ) from None


def _together(
    compose_services: OwnServices, services: Sequence[str], fleet: Sequence[Neighbour]
) -> dict[str, Any]:
    """The compose file of a check."""
    hosts = [neighbour.host for neighbour in fleet]
    document = compose_services.alone(compose_services.needed(services, hosts))
    neighbours = compose_services.neighbours(fleet)
    document["services"] |= neighbours
    volumes = {}
    for entry in neighbours.values():
        for mount in entry.get("volumes", ()):
            if "source" in mount:
                volumes[mount["source"]] = {"external": True}
    if volumes:
        document["volumes"] = volumes
    return document


def variables_of(
    files: Sequence[Path],
    folder: Path,
    environment: Mapping[str, str] = {},
    dotenv: Path = Path(".env"),
) -> dict[str, str]:
    """The variables of these files and of `environment`, as Compose reads them.

    Compose knows quotes and `export` in such files; `docker run --env-file` takes both for text. It
    replaces `${NAME}` in `environment` by the variables of the shell or of the file `dotenv`. `$` is
    written `$$` in the result. `folder` is for a file of this call.
    """
    if not files and not environment:
        return {}
    path = folder / "variables.json"
    service = {
        "image": "none",
        "env_file": [str(file.absolute()).replace("$", "$$") for file in files],
        "environment": dict(environment),
    }
    path.write_text(json.dumps({"services": {"one": service}}), "utf-8")
    options = ["--project-name=slimbake", f"--file={path}"]
    if environment and dotenv.is_file():
        options.append(f"--env-file={dotenv}")
    text = call("compose", *options, "config", "--format=json")
    return OwnServices(json.loads(text)).variables("one")


def _without_traces(service: Mapping[str, Any]) -> dict[str, Any]:
    """A service whose named volumes are empty ones, and that cannot write to the repository."""
    entry = {key: value for key, value in service.items() if key not in _LEFT_OUT}
    entry["labels"] = {**service.get("labels", {}), **owned()}
    mounts = []
    for mount in service.get("volumes", ()):
        if mount["type"] == "bind":
            mounts.append({**mount, "read_only": True})
        else:
            mounts.append({"type": mount["type"], "target": mount["target"]})
    if mounts:
        entry["volumes"] = mounts
    return entry
