"""Commands of services that only a shell runs, where the image has none."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from slimbake.config.report import ProblemReport
from slimbake.config.words import TRUTH

Raw = dict[str, Any]

SHELLS = frozenset(("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"))
# What passes signals on, reaps orphans and ends at SIGTERM, which a first process ignores that does
# not handle it: each is a Debian package of its name.
REAPERS = frozenset(("tini", "dumb-init"))
REAPER_OPTIONS = frozenset(("-p", "-e", "-r", "--rewrite"))  # those that take a word
_OWN_IMAGE = ("dockerfile", "template")  # what it has is not known here


def shells(services: Raw, bases: Raw, report: ProblemReport) -> None:
    """Report programs that are a shell, of services that have no such shell."""
    for name, service in services.items():
        if any(key in service for key in _OWN_IMAGE):
            continue
        there = set(_packages(service, bases))
        there |= {"dash", "sh"} if service.get("shell") == TRUTH[0] or "dash" in there else set()
        for key in ("entrypoint", "command"):
            words = service.get(key)
            program = next(iter(reaped([str(word) for word in words])), "") if words else ""
            shell = posixpath.basename(program)
            if shell in SHELLS and shell not in there:
                message = f"'{program}' is a shell, and the image has no {shell}"
                fix = f"`shell: true` brings sh and coreutils; others: add {shell} to `system`"
                report.value(("services", name, key), message, fix)
            if program:
                break  # `command` is arguments where there is an `entrypoint`


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
