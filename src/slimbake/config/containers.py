"""Rules of how a service's container runs: commands, ports, what it may write to, whom it runs as."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

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


def containers(services: Raw, report: ProblemReport) -> None:
    """Report what is wrong with how containers run."""
    for name, service in services.items():
        at: KeyPath = ("services", name)
        _paths(service, at, report)
        _own_dockerfile(service, at, report)
        _commands(service, at, report)


def _paths(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    owners: dict[str, str] = {}
    # What lies in /app of an image of the user's own, its Dockerfile says.
    occupied_paths = _SYSTEM if "dockerfile" in service else _OCCUPIED
    for kind, what, path, where in _mounts(service):
        clean = _clean(path)
        occupied = next((reserved for reserved in occupied_paths if overlap(clean, reserved)), None)
        in_code = clean.startswith(_CODE_BELOW)  # what is there depends on the code
        message = ""
        if kind == "tmpfs" and clean == "/tmp":  # noqa: S108
            message = "it is writable already"
        elif occupied and not in_code and not (kind == "tmpfs" and mountable(clean)):
            message = f"a {kind} at '{path}' would hide {occupied} of the image"
        elif clean in owners:
            message = f"{owners[clean]} is mounted at '{path}' already"
        if message:
            report.value((*at, *where), message, "choose another path, such as /data")
        owners.setdefault(clean, what)


def _clean(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))  # two at the start would stay


def _mounts(service: Raw) -> Iterator[tuple[str, str, str, KeyPath]]:
    """Of each mount its kind, what it is called in a message, its path and its place."""
    for name, path in service.get("volumes", {}).items():
        yield "volume", f"volume '{name}'", path, ("volumes", name)
    for index, path in enumerate(service.get("tmpfs", ())):
        if path is not None:
            yield "tmpfs", "a tmpfs", path, ("tmpfs", index)


def mountable(path: str) -> bool:
    """Whether a tmpfs at an absolute path is allowed."""
    clean = posixpath.normpath(path)
    memory = f"{clean}/".startswith(("/run/", "/tmp/"))  # noqa: S108 - made for it
    return memory or not any(overlap(clean, reserved) for reserved in _OCCUPIED)


def overlap(one: str, other: str) -> bool:
    """Whether a path is another, or lies in it, or around it."""
    return one == "/" or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _own_dockerfile(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    for key, instruction in _IN_THE_IMAGE if "dockerfile" in service else ():
        if key in service:
            message = f"'{key}' has no effect on an image of a `dockerfile`"
            report.warning((*at, key), message, f"write {instruction} there, and remove this")


def _commands(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    health, start = service.get("healthcheck", TRUTH[1]), service.get("start")
    test = health.get("test") if isinstance(health, dict) else health
    for key, arguments in (
        (("entrypoint",), service.get("entrypoint")),
        (("command",), service.get("command")),
        (("healthcheck", "test") if isinstance(health, dict) else ("healthcheck",), test),
    ):
        for index, word in enumerate(arguments if isinstance(arguments, list) else ()):
            # what `-c` of an interpreter is followed by has spaces or brackets
            if word and (match := _VARIABLE.search(word)) and not re.search(r"[\s;]", word):
                message = f"no shell replaces '{match[0]}' here: the program gets it as it stands"
                hint = "write the value, or let the program read the variable"
                report.warning((*at, *key, index), message, hint)
    if isinstance(test, list) and test[:1] and test[0] in ("CMD", "CMD-SHELL", "NONE"):
        hint = "write the program and its arguments as words, or `healthcheck: false`"
        report.value((*at, "healthcheck"), f"'{test[0]}' is no program", hint)
    if (
        not isinstance(test, list)
        and health != TRUTH[1]
        and not {"port", "dockerfile"} & {*service}
    ):
        message = "there is no `port` to connect to"
        report.key((*at, "healthcheck"), message, "say what is run: `test: [python, -m, ...]`")
    if not {"command", "entrypoint", "dockerfile"} & {*service} and start != "none":
        hint = "write `command`, or `start: none` if who runs the image names one"
        report.warning(at, "it has no command, so its image starts nothing", hint)
