"""Rules of how a service's container runs: commands, ports, what it may write to, whom it runs as."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport, did_you_mean
from slimbake.config.words import TRUTH

Raw = dict[str, Any]

# What a mount would hide or break; a path above one of them is as bad as one below.
_OCCUPIED = (
    "/app",
    "/weights",
    "/opt/slimbake",
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
_CODE_BELOW = "/app/"
_IN_THE_IMAGE = (  # how a Dockerfile of the user's own says these
    ("entrypoint", "ENTRYPOINT"),
    ("expose", "EXPOSE"),
    ("workdir", "WORKDIR"),
    ("build", "RUN"),
    ("include", "COPY"),
)
_COMPOSE_TESTS = {
    "CMD": "write the words that follow it",
    "CMD-SHELL": "no shell reads it: write the program and its arguments as words",
    "NONE": "write `healthcheck: false`",
}
_OPERATOR = re.compile(r"&&?|\|\|?|;|[0-9&]?(>>?|<<?)(&[0-9-]|[A-Za-z0-9_./-]*)")
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\}|\(.*\))|`[^`]+`")
_CODE = re.compile(
    r"[\s;()]"
)  # what `-c` and `-e` of interpreters are followed by has some of these


def containers(services: Raw, report: ProblemReport) -> None:
    """Report what is wrong with how containers run."""
    _published(services, report)
    for name, service in services.items():
        at: KeyPath = ("services", name)
        _paths(service, at, report)
        _own_dockerfile(service, at, report)
        _commands(service, at, report)
        _health(service, at, report)
        said = service.get("stop_signal")
        if said is not None:
            _signal(said, (*at, "stop_signal"), report)
        if "publish" in service and report.lacks(service, "port", at):
            report.key((*at, "publish"), "it listens on no port", "give it a `port`")
        if "port" in service and service["port"] in service.get("expose", ()):
            index = service["expose"].index(service["port"])
            report.value((*at, "expose", index), "this is its `port` already", "remove it")


def _signal(said: str, path: KeyPath, report: ProblemReport) -> None:
    import signal

    if said not in signal.Signals.__members__:
        hint = did_you_mean(said, signal.Signals.__members__) or "such as SIGTERM or SIGINT"
        report.value(path, f"there is no signal '{said}'", hint)


def _published(services: Raw, report: ProblemReport) -> None:
    owners: dict[int, str] = {}
    for name, service in services.items():
        port = service.get("publish")
        owner = owners.setdefault(port, name) if port else name
        if owner != name:
            where = report.where(("services", owner, "publish"))
            message = f"services.{owner} is published on port {port} already ({where})"
            hint = "all services share one host: publish each on a port of its own"
            report.value(("services", name, "publish"), message, hint)


def _paths(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    owners: dict[str, str] = {}
    for kind, what, path, where in _mounts(service):
        if not path.startswith("/"):
            usual = path.lstrip("./")
            hint = f"such as /{usual if usual.isprintable() and usual else 'data'}"
            report.value((*at, *where), f"'{path}' is not absolute", hint)
            continue
        clean = _clean(path)
        occupied = next((each for each in _OCCUPIED if overlap(clean, each)), None)
        # Below /app it depends on the code: `below_the_code`.
        below = clean.startswith(_CODE_BELOW) and "dockerfile" not in service
        if below or (kind == "tmpfs" and mountable(clean)):
            occupied = None
        if ":" in path or "," in path:
            message = f"'{path}' holds ':' or ','"
            report.value((*at, *where), message, "Docker separates a mount's parts with them")
        elif kind == "tmpfs" and clean == "/tmp":  # noqa: S108
            report.value((*at, *where), "it is writable already", "remove it")
        elif occupied:
            message = f"a {kind} at '{path}' would hide {occupied} of the image"
            report.value((*at, *where), message, "such as /data")
        elif clean in owners:
            message = f"{owners[clean]} is mounted at '{path}' already"
            report.value((*at, *where), message, "choose another path")
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


def below_the_code(service: Raw) -> Iterator[tuple[str, str, str, KeyPath]]:
    """Of each mount below the copy of the context its kind, its path as it is written and relative to
    the context, and its place.
    """
    for kind, _, path, where in _mounts(service):
        clean = _clean(path)
        absolute = path.startswith("/")
        if absolute and clean.startswith(_CODE_BELOW) and "dockerfile" not in service:
            yield kind, path, clean.removeprefix(_CODE_BELOW), where


def mountable(path: str) -> bool:
    """Whether a tmpfs at an absolute path is allowed."""
    clean = posixpath.normpath(path)
    memory = f"{clean}/".startswith(("/run/", "/tmp/"))  # noqa: S108 - made for it
    return memory or not any(overlap(clean, each) for each in _OCCUPIED)


def overlap(one: str, other: str) -> bool:
    """Whether a path is another, or lies in it, or around it."""
    return one == "/" or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _own_dockerfile(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    for key, instruction in _IN_THE_IMAGE if "dockerfile" in service else ():
        if key in service:
            message = f"'{key}' has no effect on an image of a `dockerfile`"
            report.warning((*at, key), message, f"write {instruction} there, and remove this")
    if "build" in service and "template" in service and "dockerfile" not in service:
        message = "slimbake's own template runs these steps, and this service has another"
        hint = "copy what it does from templates/service.Dockerfile.j2, or remove one of the two"
        report.warning((*at, "build"), message, hint)


def _commands(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    health = service.get("healthcheck")
    for key, words in (
        (("entrypoint",), service.get("entrypoint", [])),
        (("command",), service.get("command", [])),
        (("healthcheck",), health if isinstance(health, list) else []),
        (("healthcheck", "test"), health.get("test", []) if isinstance(health, dict) else []),
    ):
        _without_shell(words, (*at, *key), report)
    start = service.get("start")
    if not {"command", "entrypoint", "dockerfile", "template"} & service.keys() and start != "none":
        hint = "write `command`, or `start: none` if who runs the image names one"
        report.warning(at, "it has no command, so its image starts nothing", hint)
    first = str(start[0]) if isinstance(start, list) else ""
    if first.startswith("-") and not {"entrypoint", "dockerfile"} & service.keys():
        message = f"'{first}' would be the program: these words replace `command`"
        hint = "name the program in `entrypoint`, which they follow; or repeat it here"
        report.value((*at, "start"), message, hint)


def _without_shell(words: list[str | None], at: KeyPath, report: ProblemReport) -> None:
    """Warn of what only a shell would read: the program gets these words as they stand."""
    for index, word in enumerate(words):
        if word is None:
            continue
        if index and words[index - 1] in ("-c", "-e") and _CODE.search(word):
            continue
        if found := _VARIABLE.search(word):
            message = f"no shell replaces '{found[0]}' here: the program gets it as it stands"
            hint = "write the value, or let the program read the variable"
            report.warning((*at, index), message, hint)
        elif index and _OPERATOR.fullmatch(word):
            message = f"no shell reads '{word}' here: the program gets it as an argument"
            hint = "run one program: put the steps into a Python file, and name that"
            report.warning((*at, index), message, hint)


def _health(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    said = service.get("healthcheck", TRUTH[1])
    key: KeyPath = ("healthcheck", "test") if isinstance(said, dict) else ("healthcheck",)
    test = said.get("test") if isinstance(said, dict) else said
    words = test if isinstance(test, list) else []
    if words and (hint := _COMPOSE_TESTS.get(words[0])):
        report.value((*at, *key), f"'{words[0]}' is no program", hint)
    if not words and said != TRUTH[1] and not {"port", "dockerfile"} & service.keys():
        message = "there is no `port` to connect to"
        report.key((*at, "healthcheck"), message, "say what is run: `test: [python, -m, ...]`")
