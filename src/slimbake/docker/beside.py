"""Services of a repository's own compose file, started for one check: in a project of their own, so
that neither their data nor their ports are those of the containers that somebody works with.
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
# What would leave something behind, be in the way of another container, or reach further.
_OTHER_NETWORKS = ("networks", "network_mode", "profiles")
_LEFT_OUT = ("build", "container_name", "ports", "restart", *_OTHER_NETWORKS)


class NotBeside(CheckError):
    """What a check needs beside it did not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A service of the fleet that a check starts beside it."""

    host: str  # its name in the manifest
    said: Mapping[str, Any]  # what a compose file has of it, beside the rest of this
    env_files: tuple[Path, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)  # variables above all others
    after: tuple[str, ...] = ()  # that start before it: of the compose file, and hosts


@dataclass(frozen=True, slots=True)
class OwnServices:
    """The services of a repository's own compose file, as Compose reads it: `$` is written `$$`."""

    said: Mapping[str, Any]

    def needed(self, services: Iterable[str], fleet: Collection[str] = ()) -> tuple[str, ...]:
        """These services and all that they depend on, less those of the fleet, by its names."""
        names, left = set[str](), list(services)
        while left:
            if (name := left.pop()) not in names and manifest_name(name) not in fleet:
                names.add(name)
                left += self.services[name].get("depends_on", ())
        return tuple(sorted(names))

    def images(self, services: Iterable[str]) -> dict[str, str]:
        """The image of each of these services; none of one that is built."""
        return {n: self.services[n]["image"] for n in services if "build" not in self.services[n]}

    def variables(self, host: str) -> dict[str, str]:
        """The variables of the service that has this name in a manifest."""
        variables: dict[str, str | None] = self._named(host).get("environment") or {}
        return {key: value for key, value in variables.items() if value is not None}

    def alone(self, services: Iterable[str]) -> dict[str, Any]:
        """A compose file of these services without a way out, that leaves nothing behind."""
        return {
            **self._files(),
            "services": {service: _alone(self.services[service]) for service in services},
            "networks": {"default": {"internal": True, "labels": owned()}},
        }

    def neighbours(self, fleet: Iterable[Neighbour]) -> dict[str, Any]:
        """These services for the same file: each by all names that it has in either file, with the
        variables that a container of it gets where people run it.
        """
        every = {neighbour.host: neighbour for neighbour in fleet}
        named = {host: [n for n in self.services if manifest_name(n) == host] for host in every}
        keys = {host: (*names, host)[0] for host, names in named.items()}
        entries = {}
        for host, other in every.items():
            theirs = self.variables(host)
            more = {k: v for k, v in other.said.get("environment", {}).items() if k not in theirs}
            after = [keys.get(n, n) for n in other.after]
            entries[keys[host]] = {
                **other.said,
                "labels": owned(),
                "env_file": [
                    {"path": str(file.absolute()).replace("$", "$$"), "required": False}
                    for file in other.env_files
                ],
                "environment": {**more, **theirs, **other.fixed},
                "depends_on": self.awaits(host, after),
                "networks": {"default": {"aliases": sorted({host, *named[host]} - {keys[host]})}},
            }
        return entries

    def joined(self, services: Collection[str]) -> dict[str, Any]:
        """What these services and their volumes are in a compose file of the fleet."""
        entries = {}
        for service in services:
            entry = {k: v for k, v in self.services[service].items() if k not in _OTHER_NETWORKS}
            needs = {n: how for n, how in entry.pop("depends_on", {}).items() if n in services}
            entries[service] = {**entry, **({"depends_on": needs} if needs else {})}
        mounts = [mount for entry in entries.values() for mount in entry.get("volumes", ())]
        named = {mount.get("source") for mount in mounts if mount["type"] == "volume"}
        volumes = {k: v for k, v in self.said.get("volumes", {}).items() if k in named}
        return {**self._files(), "services": entries, "volumes": volumes}

    def awaits(self, host: str, services: Iterable[str]) -> dict[str, Any]:
        """`depends_on` of the service that has this name in a manifest: these services, each as the
        file says, or started.
        """
        depends_on = self._named(host).get("depends_on") or {}
        return {
            service: depends_on.get(service, {"condition": "service_started"})
            for service in services
        }

    @property
    def services(self) -> Any:
        """Each as a mapping, by its name in the file."""
        return self.said["services"]

    def _named(self, host: str) -> Any:
        named = (service for n, service in self.services.items() if manifest_name(n) == host)
        return self.services.get(host) or next(named, {})

    def _files(self) -> dict[str, Any]:
        return {key: self.said[key] for key in ("secrets", "configs") if key in self.said}


def own_services(file: Path, project: str = "") -> OwnServices:
    """Have Compose read a compose file; `project`: whose volumes it names, "" for its own, as a check
    does: for that a variable without which Compose reads nothing (`${KEY:?}`) has a placeholder.

    Raises SetupError where there is no Compose, or where it cannot read the file.
    """
    require_compose()
    # Compose shows what it cannot read of them.
    for path in filter(Path.exists, (file, file.with_name(".env"))):
        content(file.parent, path.name)
    options = (f"--file={file}", *((f"--project-name={project}",) if project else ()))
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
            placeholders[missing[1]] = "1"  # may be a port, too


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
    """These services of a compose file and what they depend on, and those of the fleet, well, on a
    network without a way out; they have gone afterwards, with all that they wrote. Gives options of
    `docker run`, for a container beside them.

    `name`: of their project; `file`: its folder, where there is none and all are of the fleet;
    `variables`: files of those that the check gets, below `environment`, for Compose to fill in,
    and the ones of `host`, a service of the compose file. Raises SetupError where Compose cannot
    read a file, NotBeside for what does not start.
    """
    compose_services = own_services(file) if file.is_file() else OwnServices({"services": {}})
    with tempfile.TemporaryDirectory(prefix="slimbake-start-") as folder:
        theirs = compose_services.variables(host)
        more = {key: value for key, value in environment.items() if key not in theirs}
        filled = (file if file.is_dir() else file.parent) / ".env"
        named = {**variables_of(variables, Path(folder), more, filled), **theirs}
        path = Path(folder, "compose.json")
        path.write_text(json.dumps(_together(compose_services, services, fleet)), "utf-8")
        env_file = (f"--env-file={filled}",) if fleet and filled.is_file() else ()
        project = ("compose", f"--project-name={name}", f"--file={path}", *env_file)
        try:
            try:
                call(*project, "up", "--detach", "--wait", "--quiet-pull")
            except SetupError as error:
                output = call(*project, "logs", f"--tail={LAST_LINES}").replace(CLEAR, "")
                needs = ", ".join((*services, *(neighbour.host for neighbour in fleet)))
                raise NotBeside(
                    f"what its start check needs did not start: {needs}",
                    f"{error.hint.splitlines()[-1]}\n{output}",
                ) from None
            yield (
                f"--network={name}_default",
                *(f"--env={k}={v}".replace("$$", "$") for k, v in named.items()),
            )
        finally:
            call(*project, "down", "--volumes", "--remove-orphans", "--timeout=1")


def _together(
    compose_services: OwnServices, services: Sequence[str], fleet: Sequence[Neighbour]
) -> dict[str, Any]:
    """The compose file of a check."""
    others = compose_services.neighbours(fleet)
    mounts = (mount for other in others.values() for mount in other.get("volumes", ()))
    volumes = {mount["source"]: {"external": True} for mount in mounts if "source" in mount}
    document = compose_services.alone(
        compose_services.needed(services, [neighbour.host for neighbour in fleet])
    )
    document["services"] |= others
    return {**document, **({"volumes": volumes} if volumes else {})}


def variables_of(
    files: Sequence[Path],
    folder: Path,
    environment: Mapping[str, str] = {},
    filled: Path = Path(".env"),
) -> dict[str, str]:
    """The variables of these files as Compose reads them, with quotes and `export`, which
    `docker run --env-file` takes for text, and of `environment`, which it fills in from the shell
    or the file `filled`; `$` is written `$$`. `folder`: for a file of this call.
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
    options = ("--project-name=slimbake", f"--file={path}", "config", "--format=json")
    env_file = (f"--env-file={filled}",) if environment and filled.is_file() else ()
    return OwnServices(json.loads(call("compose", *env_file, *options))).variables("one")


def _alone(service: dict[str, Any]) -> dict[str, Any]:
    """A service whose named volumes are empty ones of this check's own, and whose files of the
    repository cannot be written.
    """
    mounts = [
        {**mount, "read_only": True}
        if mount["type"] == "bind"
        else {"type": mount["type"], "target": mount["target"]}
        for mount in service.get("volumes", ())
    ]
    kept = {key: value for key, value in service.items() if key not in _LEFT_OUT}
    kept["labels"] = {**service.get("labels", {}), **owned()}
    return {**kept, **({"volumes": mounts} if mounts else {})}
