"""Globs of rules and of `remove:`, and the licences that nothing removes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

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
    start = "/" if glob.startswith("/") else "(?!/)"
    way = "".join("(?:[^/]+/)*" if folder == "**" else f"{_name(folder)}/" for folder in folders)
    return start + way + ("(?s:.+)" if last == "**" else _name(last))


def _name(part: str) -> str:
    wildcards = {"*": "[^/]*", "?": "[^/]"}
    return "".join(wildcards.get(piece, re.escape(piece)) for piece in re.split(r"([*?])", part))
