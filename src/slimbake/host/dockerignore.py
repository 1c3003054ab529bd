"""Which files of a build context are sent: `.dockerignore` as BuildKit reads it. Pure.

The rules are those of moby/patternmatcher, and not Git's: a pattern is held against the whole path,
and that of each folder above, `*` stops at '/', the last pattern that matches decides, and `!`
brings back what lies in a folder that is left out. No library that is well kept has them:
pathspec's are Git's, and docker-py brings a whole client.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from slimbake.inside.lines import lines_of

LARGEST = 64 << 10  # characters of a `.dockerignore`
# Of a folder: which patterns matched it, or a folder above it.
Matched = tuple[bool, ...]


class Ignore:
    """The patterns of one `.dockerignore`. Raises ValueError, with the pattern, for one that
    BuildKit refuses, and for more than LARGEST.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} characters")
        self._rules = tuple(_rules(text))
        self.exceptions = any(brings_back for brings_back, _ in self._rules)
        plain = "|".join(f"(?:{rule.pattern})" for _, rule in self._rules)
        # Without exceptions: what matches a path that is left out.
        self.plain = re.compile(plain).fullmatch if plain and not self.exceptions else None
        self.key = tuple((brings_back, rule.pattern) for brings_back, rule in self._rules)

    def __call__(self, path: str, above: Matched) -> tuple[bool, Matched]:
        """Whether a path is left out, and what to give as `above` for what lies in it.

        Paths are relative to the context, with '/'. `above`: of the folder that it lies in, () at
        the top. Without exceptions nothing in a folder that is left out is ever asked for.
        """
        if self.plain:
            return self.plain(path) is not None, ()
        out = False
        results = []
        for number, (brings_back, rule) in enumerate(self._rules):
            matches = bool(above) and above[number]
            if not matches and brings_back == out:  # else it would decide nothing
                matches = rule.fullmatch(path) is not None
            results.append(matches)
            if matches:
                out = not brings_back
        return out, tuple(results)

    def leaves_out(self, path: str) -> bool:
        """Whether a path is left out, by itself or with a folder that it lies in."""
        above: Matched = ()
        out = False
        for end in [*(match.start() for match in re.finditer("/", path)), len(path)]:
            out, above = self(path[:end], above)
            if out and not self.exceptions:
                break
        return out


# What Go takes for space; Python has four separators more.
_SPACES = "".join(filter(str.isspace, map(chr, range(0x3001)))).translate(
    dict.fromkeys(range(0x1C, 0x20))
)


def patterns(text: str) -> Iterator[tuple[bool, str, str]]:
    """Of each pattern of a `.dockerignore`: whether it brings files back, the pattern without '!',
    as BuildKit cleans it, and its line. Raises ValueError, with the line, for '!' alone.
    """
    for written in lines_of(text.removeprefix("\ufeff")):
        line = written.removesuffix("\r")
        pattern = "" if line.startswith("#") else line.strip(_SPACES)
        brings_back = pattern.startswith("!")
        pattern = _clean(pattern.removeprefix("!").strip(_SPACES))
        if brings_back and not pattern:
            raise ValueError(line)
        if pattern:
            yield brings_back, pattern, line


def matches(pattern: str, path: str) -> bool:
    """Whether one pattern, as `patterns` gives it, matches a path itself."""
    try:
        return re.fullmatch(_expression(pattern), path) is not None
    except re.error:
        return False


_QUOTED = re.compile(r"([*?\[\]\\!#])")


def literal(path: str) -> str:
    """A path as a pattern that matches only itself."""
    return _QUOTED.sub(r"\\\1", path)


def only(paths: Sequence[str], lines: Iterable[str]) -> tuple[str, ...]:
    """The patterns that leave out all but these paths, and of these what `lines` leave out.

    A line that brings back files brings back those that lie in these paths; of one with `*` that may
    be others, too, and it is left away.
    """
    kept = ["*", *(f"!{literal(path)}" for path in paths)]
    for line in lines:
        back = _clean(line.removeprefix("!").strip())
        if not line.startswith("!"):
            kept.append(line)
        elif any(f"{back}/".startswith(f"{literal(path)}/") or path == "." for path in paths):
            kept.append(f"!{back}")
        else:
            inner = (literal(path) for path in paths)
            kept += [f"!{path}" for path in inner if f"{path}/".startswith(f"{back}/")]
    return tuple(kept)


def _rules(text: str) -> Iterator[tuple[bool, re.Pattern[str]]]:
    for brings_back, pattern, line in patterns(text):
        try:
            yield brings_back, re.compile(_expression(pattern))
        except re.error:
            raise ValueError(line) from None


def _clean(pattern: str) -> str:
    if not pattern:
        return ""
    clean = posixpath.normpath(pattern)
    return clean.lstrip("/") or clean


# Of a class, which may match '/', or of `**` that is no folder, all places are tried.
_ODD = re.compile(r"\[|[^/]\*\*|\*\*[^/]")
_MOST = 5  # wildcards of a pattern that is odd, of which `**` counts twice
_SPECIAL = re.compile(r"[*?\[\]\\]")
_PIECE = re.compile(r"\*\*/?|\*|\?|\\.|\[(?:\\.|[^\]\\])+(?:\]|(?P<open>\Z))|.", re.DOTALL)


def _expression(pattern: str) -> str:
    """A regular expression for the whole path."""
    # As moby has it: without another special character, `**` at an end stands for any text, in
    # names too.
    if pattern.startswith("**") and not _SPECIAL.search(rest := pattern[2:]):
        return rf"(?s:.*){re.escape(rest)}" + (
            f"|{re.escape(rest[1:])}" if rest.startswith("/") else ""
        )
    if pattern.endswith("**") and not _SPECIAL.search(rest := pattern[:-2]):
        return rf"{re.escape(rest)}(?s:.*)"
    text = "".join(
        _piece(match[0] if match["open"] is None else "[", match.end() == len(pattern))
        for match in _PIECE.finditer(pattern)
    )
    odd = _ODD.search(pattern) is not None
    if odd and text.count("\0") > _MOST:
        raise re.error(pattern)
    return _between(
        [_between(folders.split("\0"), "[^/]", odd) for folders in text.split("\0\0")],
        r"(?:[^/\n]*/)",
        odd,
    )


def _between(pieces: Sequence[str], wild: str, odd: bool) -> str:
    """An expression for pieces with any number of `wild` between two. A piece that matches where it
    can first leaves most to the next one, but for what is odd: no other place is tried.
    """
    first, *rest = pieces
    middle = "".join(f"(?{':' if odd else '>'}{wild}*?{piece})" for piece in rest[:-1])
    return first + middle + "".join(f"{wild}*{piece}" for piece in rest[-1:])


def _piece(text: str, last: bool) -> str:
    if text in ("[", "]", "\\"):
        raise re.error(text)
    if text.startswith("["):
        # What Python would one day read as an operation on sets stands for itself.
        return "[" + re.sub(r"[\[&~|]", r"\\\g<0>", text[1:-1]) + "]"
    wild = {"*": "\0", "?": "[^/]", "**": ".*" if last else "\0\0"}
    return wild.get(text.removesuffix("/"), re.escape(text[-1]))
