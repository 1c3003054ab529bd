"""Rules of how a service's container runs: commands, ports, what it may write to, whom it runs as."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport
from slimbake.config.words import TRUTH

Raw = dict[str, Any]

# What a mount would hide or break; a path above one of them is as bad as one below.
_SYSTEM = (
    "/usr",
    "/etc",
    "/lib",
    "/lib64",
    "/bin",
    "/sbin",
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",  # noqa: S108
)
_OCCUPIED = ("/app", "/weights", "/opt/slimbake", *_SYSTEM)
_CODE_BELOW = "/app/"
_IN_THE_IMAGE = (  # how a Dockerfile of the user's own says these
    ("entrypoint", "ENTRYPOINT"),
    ("expose", "EXPOSE"),
    ("workdir", "WORKDIR"),
    ("build", "RUN"),
    ("include", "COPY"),
)
_VARIABLE = re.compile(r"\$(\w+|\{[^{}]*\}|\([^()]*\))|`[^`]+`")


class _Mount(NamedTuple):
    """What is mounted in a container."""

    kind: str  # volume, tmpfs
    title: str  # in messages
    path: str  # as it is written
    key: KeyPath  # below the service

    @property
    def place(self) -> str:
        return clean(self.path)


def containers(services: Raw, report: ProblemReport) -> None:
    """Report what is wrong with how containers run."""
    for name, service in services.items():
        at: KeyPath = ("services", name)
        _paths(service, at, report)
        _own_dockerfile(service, at, report)
        _commands(service, at, report)


def _paths(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    owners: dict[str, str] = {}  # place in the container -> what is mounted there
    for mount in _mounts(service):
        message = ""
        # What lies in /app of an image of the user's own, its Dockerfile says.
        hidden = _hidden(mount, _SYSTEM if "dockerfile" in service else _OCCUPIED)
        if mount.kind == "tmpfs" and mount.place == "/tmp":  # noqa: S108
            message = "it is writable already"
        elif hidden:
            message = f"a {mount.kind} at '{mount.path}' would hide {hidden} of the image"
        elif mount.place in owners:
            message = f"{owners[mount.place]} is mounted at '{mount.path}' already"
        if message:
            report.value((*at, *mount.key), message, "choose another path, such as /data")
        owners.setdefault(mount.place, mount.title)


def _hidden(mount: _Mount, occupied: tuple[str, ...]) -> str:
    """What a mount would hide of the image; "" for nothing."""
    if mount.place.startswith(_CODE_BELOW):
        return ""  # what is there depends on the code
    if mount.kind == "tmpfs" and mountable(mount.place):
        return ""
    return overlapped(mount.place, occupied)


def clean(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))  # two at the start would stay


def _mounts(service: Raw) -> Iterator[_Mount]:
    for name, path in service.get("volumes", {}).items():
        yield _Mount("volume", f"volume '{name}'", path, ("volumes", name))
    for index, path in enumerate(service.get("tmpfs", ())):
        if path is not None:
            yield _Mount("tmpfs", "a tmpfs", path, ("tmpfs", index))


def mountable(path: str) -> bool:
    """Whether a tmpfs at an absolute path is allowed."""
    place = posixpath.normpath(path)
    if f"{place}/".startswith(("/run/", "/tmp/")):  # noqa: S108 - made for it
        return True
    return not overlapped(place, _OCCUPIED)


def overlapped(path: str, places: Iterable[str]) -> str:
    """The first of these places that a path overlaps with; "" for none."""
    for place in places:
        if overlap(path, place):
            return place
    return ""


def overlap(one: str, other: str) -> bool:
    """Whether a path is another, or lies in it, or around it."""
    return one == "/" or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _own_dockerfile(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    if "dockerfile" not in service:
        return
    for key, instruction in _IN_THE_IMAGE:
        if key in service:
            message = f"'{key}' has no effect on an image of a `dockerfile`"
            report.warning((*at, key), message, f"write {instruction} there, and remove this")


def _commands(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    for key in ("entrypoint", "command"):
        _variables(service.get(key), (*at, key), report)
    if "healthcheck" in service:
        _healthcheck(service, (*at, "healthcheck"), report)
    starts_something = not service.keys().isdisjoint(("command", "entrypoint", "dockerfile"))
    if not starts_something and service.get("start") != "none":
        hint = "write `command`, or `start: none` if who runs the image names one"
        report.warning(at, "it has no command, so its image starts nothing", hint)


def _healthcheck(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    test = service["healthcheck"]
    if test == TRUTH[1]:
        return
    if isinstance(test, dict):
        test = test.get("test")
        _variables(test, (*at, "test"), report)
    else:
        _variables(test, at, report)
    if isinstance(test, list):
        if test[:1] and test[0] in ("CMD", "CMD-SHELL", "NONE"):
            hint = "write the program and its arguments as words, or `healthcheck: false`"
            report.value(at, f"'{test[0]}' is no program", hint)
    elif service.keys().isdisjoint(("port", "dockerfile")):
        message = "there is no `port` to connect to"
        report.key(at, message, "say what is run: `test: [python, -m, ...]`")


def _variables(words: Any, at: KeyPath, report: ProblemReport) -> None:
    """Warn of variables in a command, which no shell replaces."""
    for index, word in enumerate(words if isinstance(words, list) else ()):
        # What `-c` of an interpreter is followed by has spaces or semicolons.
        if not word or re.search(r"[\s;]", word):
            continue
        match = _VARIABLE.search(word)
        if match:
            message = f"no shell replaces '{match[0]}' here: the program gets it as it stands"
            hint = "write the value, or let the program read the variable"
            report.warning((*at, index), message, hint)
