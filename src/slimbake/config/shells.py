"""Commands of services that only a shell runs, where the image has none."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.files import ManifestFolder as Repository
from slimbake.config.report import ProblemReport, RefusedError
from slimbake.config.words import TRUTH

Raw = dict[str, Any]

SHELLS = frozenset(("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"))
# What passes signals on, reaps orphans and ends at SIGTERM, which a first process ignores that does
# not handle it: each is a Debian package of its name.
REAPERS = frozenset(("tini", "dumb-init"))
REAPER_OPTIONS = frozenset(("-p", "-e", "-r", "--rewrite"))  # those that take a word
_OWN_IMAGE = ("dockerfile", "template")  # what it has is not known here


def shells(services: Raw, bases: Raw, repository: Repository, report: ProblemReport) -> None:
    """Report programs that are a shell, or scripts of one, of services that have no such shell."""
    for name, service in services.items():
        if any(key in service for key in _OWN_IMAGE):
            continue
        there = set(_packages(service, bases))
        brings = service.get("shell") == TRUTH[0]
        there |= {"dash", "sh"} if brings or "dash" in there else set()
        for at, program in _programs(service):
            shell, script = _shell_of(program, service, repository)
            if shell and shell not in there:
                report.value(
                    ("services", name, *at), *_refusal(program, shell, script, brings=brings)
                )


def reaped(words: Sequence[str]) -> tuple[str, ...]:
    """What a command starts, without a program by which it does: tini or dumb-init."""
    if not words or posixpath.basename(words[0]) not in REAPERS:
        return tuple(words)
    return tuple(words[after_options(words[1:], REAPER_OPTIONS) + 1 :])


def after_options(words: Sequence[str], with_value: Collection[str]) -> int:
    """How many words are options, up to a `--`. `with_value`: those that take the word behind them."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 1 + (words[at] in with_value)
        if words[at - 1] == "--":
            break
    return min(at, len(words))


def _packages(service: Raw, bases: Raw) -> Iterator[str]:
    """The Debian packages of a service and of all bases that it stands on."""
    yield from service.get("system", ())
    below, seen = service.get("base"), set()
    while below in bases and below not in seen:
        seen.add(below)
        yield from bases[below].get("system", ())
        below = bases[below].get("extends")


def _programs(service: Raw) -> Iterator[tuple[KeyPath, str]]:
    """What is started, and its place: `command` is arguments where there is an `entrypoint`."""
    health = service.get("healthcheck")
    test = health.get("test", []) if isinstance(health, dict) else health
    start = service.get("start")
    runs = "entrypoint" if service.get("entrypoint") else "command"
    for key, words in (
        ((runs,), service.get(runs)),
        (("healthcheck", "test") if isinstance(health, dict) else ("healthcheck",), test),
        (("start",), start if runs == "command" else None),
        *(
            (("build", index, "run"), step.get("run"))
            for index, step in enumerate(service.get("build", ()))
            if isinstance(step, dict) and "image" not in step
        ),
    ):
        words = words if isinstance(words, list) and all(isinstance(w, str) for w in words) else []
        if started := reaped(words):
            yield (*key, len(words) - len(started)), started[0]
        elif words and key == ("entrypoint",) and isinstance(service.get("command"), list):
            yield ("command", 0), str(service["command"][0])


def _shell_of(program: str, service: Raw, repository: Repository) -> tuple[str, str]:
    """The shell that a program needs, and the script of the context that it is; "" for none."""
    if (name := posixpath.basename(program)) in SHELLS:
        return name, ""
    path = posixpath.normpath(posixpath.join(service.get("workdir", "/app"), program))
    if "/" not in program or not path.startswith("/app/") or "context" not in service:
        return "", ""
    file = posixpath.join(str(service["context"]), path.removeprefix("/app/"))
    try:
        line = repository.read(repository.file(file)).partition("\n")[0]
    except RefusedError:  # what is not there, the start check says; a program is no text
        return "", ""
    words = [posixpath.basename(word) for word in line.removeprefix("#!").split()]
    if not line.startswith("#!") or not words:
        return "", ""
    shell = next((word for word in words if word != "env" and word[:1] != "-"), "")
    return (shell, file) if shell in SHELLS else ("", "")


def _refusal(program: str, shell: str, script: str, *, brings: bool) -> tuple[str, str]:
    what = f"'{program}' is a script of {shell} ({script})" if script else f"'{program}' is a shell"
    if shell in ("sh", "dash"):
        hint = "`shell: true` brings a small shell and coreutils into this image"
        return f"{what}, and the image has no shell", hint
    more = "" if brings else "; `shell: true` brings sh and coreutils"
    return f"{what}, and the image has no {shell}", f"add {shell} to `system`{more}"
