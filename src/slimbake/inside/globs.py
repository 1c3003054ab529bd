"""Globs of rules and of `remove:`, and the licences that nothing removes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

# One pattern for the step that applies rules and for the check of the manifest.
# `license.py` is a module.
LICENCE = re.compile(
    r"(.*/)?(licen[cs]es?|copying|copyright|notice|third.?party.?notices?)([.-](?!pyc?$)[^/]*)?",
    re.IGNORECASE,
)


_WILD = re.compile("[*?]")


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether a path matches any of these globs.

    `*` and `?` stay within a folder; `**` is any number of folders, and at the end of a glob
    everything below. Paths that begin with `/` match only globs that do.
    """
    # A manifest may name thousands of files and folders without a wildcard: these are looked up.
    plain: set[str] = set()
    patterns: list[str] = []
    for glob in set(globs):
        if _WILD.search(glob.removesuffix("/**")):
            patterns.append(f"(?:{_regex(glob)})")
        else:
            plain.add(glob)
    pattern = re.compile("|".join(patterns) or r"(?!)")

    def matches(path: str) -> bool:
        if plain and not plain.isdisjoint(_plain_globs(path)):
            return True
        return pattern.fullmatch(path) is not None

    return matches


def _plain_globs(path: str) -> Iterator[str]:
    """The globs of a name or of all below a folder that match a path."""
    yield path
    for slash in re.finditer("/(?=.)", path):
        yield f"{path[: slash.start()]}/**"


def _regex(glob: str) -> str:
    *folders, last = glob.removeprefix("/").split("/")
    pieces = [""]  # what stands between two `**`
    for folder in folders:
        if folder == "**":
            pieces.append("")
        else:
            pieces[-1] += f"{_name(folder)}/"
    pieces[-1] += "(?s:.+)" if last == "**" else _name(last)
    root = "/" if glob.startswith("/") else "(?!/)"
    return root + _between(pieces, "(?:[^/]++/)")


def _name(part: str) -> str:
    return _between([re.escape(p).replace(r"\?", "[^/]") for p in part.split("*")], "[^/]")


def _between(pieces: Sequence[str], wild: str) -> str:
    """An expression for pieces with any number of `wild` between two. A piece that matches where it
    can first leaves most to the next one: no other place is tried, but for the last.
    """
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>{wild}*?{piece})" for piece in middle) + f"{wild}*{last}"
