"""Programs that start others: shells, and what reaps orphans."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence

SHELLS = frozenset(("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"))
# What passes signals on, reaps orphans and ends at SIGTERM, which a first process ignores that does
# not handle it: each is a Debian package of its name.
REAPERS = frozenset(("tini", "dumb-init"))
REAPER_OPTIONS = frozenset(("-p", "-e", "-r", "--rewrite"))  # those that take a word


def reaped(command: Sequence[str]) -> tuple[str, ...]:
    """What a command starts, without a program by which it does: tini or dumb-init."""
    if not command or posixpath.basename(command[0]) not in REAPERS:
        return tuple(command)
    return tuple(command[after_options(command[1:], REAPER_OPTIONS) + 1 :])


def after_options(arguments: Sequence[str], with_value: Collection[str]) -> int:
    """How many words are options, up to a `--`. `with_value`: those that take the word behind them."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 1 + (arguments[at] in with_value)
        if arguments[at - 1] == "--":
            break
    return min(at, len(arguments))
