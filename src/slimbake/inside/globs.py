"""Globs of rules and of `remove:`, and the licences that nothing removes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

# One pattern for the step that applies rules and for the check of the manifest.
# `license.py` is a module.
LICENCE = re.compile(
    r"(.*/)?(licen[cs]es?|copying|copyright|notice|third.?party.?notices?)([.-](?!pyc?$)[^/]*)?",
    re.IGNORECASE,
)


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether a path matches any of these globs.

    `*` and `?` stay within a folder; `**` is any number of folders, and at the end of a glob
    everything below. Paths that begin with `/` match only globs that do.
    """
    globs = set(globs)
    # A manifest may name thousands of files and folders without a wildcard: these are looked up.
    named = {glob for glob in globs if not {*"*?"} & {*glob.removesuffix("/**")}}
    whole = re.compile("|".join(f"(?:{_regex(glob)})" for glob in globs - named) or r"(?!)")

    def matches(path: str) -> bool:
        above = (
            (f"{path[: slash.start()]}/**" for slash in re.finditer("/(?=.)", path))
            if named
            else ()
        )
        return path in named or not named.isdisjoint(above) or whole.fullmatch(path) is not None

    return matches


def _regex(glob: str) -> str:
    *folders, last = glob.removeprefix("/").split("/")
    way = "".join("\0" if folder == "**" else f"{_name(folder)}/" for folder in folders)
    end = "(?s:.+)" if last == "**" else _name(last)
    return ("/" if glob.startswith("/") else "(?!/)") + _between(
        f"{way}{end}".split("\0"), "(?:[^/]++/)"
    )


def _name(part: str) -> str:
    return _between([re.escape(p).replace(r"\?", "[^/]") for p in part.split("*")], "[^/]")


def _between(pieces: Sequence[str], wild: str) -> str:
    """An expression for pieces with any number of `wild` between two. A piece that matches where it
    can first leaves most to the next one: no other place is tried, but for the last.
    """
    first, *rest = pieces
    middle = "".join(f"(?>{wild}*?{piece})" for piece in rest[:-1])
    return first + middle + "".join(f"{wild}*{piece}" for piece in rest[-1:])
