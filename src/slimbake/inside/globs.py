"""Globs of passes, and the licences that none of them removes. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# Here, so that what applies passes and what checks `passes.yaml` go by one pattern. `license.py` is a module.
LICENCE = re.compile(
    r"(.*/)?(licen[cs]es?|copying|copyright|notice|third.?party.?notices?)([.-](?!pyc?$)[^/]*)?", re.IGNORECASE
)


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path matches any of these globs: `*` and `?` stay within a folder, `**` is any number of folders.

    At a glob's end `**` is whatever lies below. Paths that begin with `/` match only globs that do.
    """
    globs = set(globs)
    # What a search found names thousands of files and folders as they are: these are looked up.
    named = {glob for glob in globs if not {*"*?"} & {*glob.removesuffix("/**")}}
    whole = re.compile("|".join(f"(?:{_regex(glob)})" for glob in globs - named) or r"(?!)")

    def matches(path: str) -> bool:
        above = (f"{path[: slash.start()]}/**" for slash in re.finditer("/(?=.)", path)) if named else ()
        return path in named or not named.isdisjoint(above) or whole.fullmatch(path) is not None

    return matches


def _regex(glob: str) -> str:
    *folders, last = glob.removeprefix("/").split("/")
    start = "/" if glob.startswith("/") else "(?!/)"
    way = "".join("(?:[^/]+/)*" if folder == "**" else f"{_name(folder)}/" for folder in folders)
    return start + way + ("(?s:.+)" if last == "**" else _name(last))


def _name(part: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(each, re.escape(each)) for each in re.split(r"([*?])", part))
