"""One read of a YAML text: its plain values, where each key and value stands, and what is wrong.

Values are dicts, lists, strings, ints, None, and Words where quotes are missing. An alias is the
value that it repeats, so a file costs what its text costs.

The reader takes libyaml's events. The nodes of `yaml.compose` lack the places of aliases, it refuses
an anchor that is set twice, and after a syntax error it returns nothing of what it has read.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent

from slimbake.config.words import Scalar, Word, unquoted

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 50
# values after aliases are written out; more only if the text itself is of that order
MAX_COPIES = 100_000
_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!", None)
_MERGE = "<<"


class Position(NamedTuple):
    """A position in a text, counted from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Any) -> Position:
        """From libyaml's mark, which counts from 0; without one, the beginning of the text."""
        return cls(mark.line + 1, mark.column + 1) if mark else cls(1, 1)

    @classmethod
    def offset(cls, text: str, index: int) -> Position:
        """The place of the character with this index."""
        before = text[:index]
        return cls(before.count("\n") + 1, index - before.rfind("\n"))


class Fault(NamedTuple):
    """What is wrong with the YAML itself; `twin`: the message needs the first place of the key."""

    place: Position
    path: KeyPath
    message: str
    hint: str = ""
    twin: bool = False


# Line and column of a key and of its value, counted from 0, and what is below. There is one for
# every key, and the garbage collector leaves plain tuples of numbers alone.
_Spot = tuple[int, int, int, int, "_Spots | None"]
_Spots = dict[str | int | None, _Spot]


class Places:
    """The first place of every key and value in a text.

    It is read for them when the first one is asked for: most texts are sound, and the places of a
    large fleet would take more memory than all its values.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _documents(self) -> _Spots:
        spots: _Spots = {}
        with contextlib.suppress(_StopError, yaml.MarkedYAMLError):
            _Reader(self._text, spots).document()
        return spots

    def key(self, path: KeyPath) -> Position:
        """Where the key (or list item) at `path` stands, or the nearest thing around it."""
        line, column, *_ = self._nearest(path)
        return Position(line + 1, column + 1)

    def value(self, path: KeyPath) -> Position:
        """Where the value at `path` begins, or the nearest thing around it."""
        _, _, line, column, _ = self._nearest(path)
        return Position(line + 1, column + 1)

    def _nearest(self, path: KeyPath) -> _Spot:
        found: _Spot = (0, 0, 0, 0, self._documents)
        for key in (0, *path):
            below = found[-1]
            if below is None or key not in below:
                break
            found = below[key]
        return found


class YamlDocument(NamedTuple):
    """What a text holds. When it is not `complete`, reading stopped at the last fault."""

    value: Any
    faults: tuple[Fault, ...]
    complete: bool
    places: Places


def read_yaml(text: str) -> YamlDocument:
    """Read one YAML document; all that is wrong with it is in `faults`, nothing is raised."""
    reader = _Reader(text)
    value, complete = None, False
    try:
        value = reader.document()
        complete = True
    except _StopError:
        pass
    except yaml.MarkedYAMLError as error:
        mark, message, hint = syntax_fault(error, text)
        reader.faults.append(Fault(Position.of(mark), (), message, hint))
    return YamlDocument(value, tuple(reader.faults), complete, Places(text))


class _StopError(Exception):
    """What follows cannot be read in a useful way."""


@dataclass(slots=True)
class _Part:
    """A value, the places below it, and how many values and levels it has with aliases written out."""

    value: Any
    spots: _Spots | None
    size: int = 1
    height: int = 0


class _Reader:
    """Takes each event once. It calls itself for nested values, at most MAX_DEPTH deep.

    `spots`: gets the places; None: nobody asks for them.
    """

    def __init__(self, text: str, spots: _Spots | None = None) -> None:
        self.faults: list[Fault] = []
        self._spots = spots
        self._texts: dict[str, str] = {}  # each text once: services have most of theirs in common
        self._next = yaml.CSafeLoader(text).get_event  # None: there are no more
        self._limit = max(MAX_COPIES, len(text))
        # The document, then one key for each mapping or list that is open; None: not read yet.
        self._path: list[str | int | None] = [0]
        self._anchors: dict[str, _Part | None] = {}  # None: still open

    def document(self) -> Any:
        """The value of the text. Raises _StopError after the last fault, and libyaml's errors."""
        start = self._next()
        whole, begun = _Part(None, self._spots), False
        while event := self._next():
            if isinstance(event, yaml.NodeEvent):
                whole.value, begun = self._entry(start, event, whole), True
            elif isinstance(event, yaml.DocumentStartEvent) and begun:
                self._stop(event, "a second document begins here", "one file holds one manifest")
        return whole.value

    def _entry(self, key: Any, event: Any, whole: _Part) -> Any:
        """The value that begins with `event`, as a part of `whole`; `key`: the event of its key."""
        scalar = type(event) is ScalarEvent
        below: _Spots | None = None
        if whole.spots is not None:
            at, start = key.start_mark, event.start_mark
            below = None if scalar else {}
            whole.spots.setdefault(
                self._path[-1], (at.line, at.column, start.line, start.column, below)
            )
        if scalar:
            whole.size += 1
            return self._scalar(event)
        part = self._alias(event) if type(event) is AliasEvent else self._branch(event, below)
        whole.size += part.size
        whole.height = max(whole.height, part.height + 1)
        if whole.size > self._limit:
            message = f"aliases blow this up to more than {MAX_COPIES:,} values"
            self._stop(event, message, "repeat smaller parts, or write the values out")
        return part.value

    def _scalar(self, event: Any) -> Scalar:
        text: str = self._texts.setdefault(event.value, event.value)
        if event.tag is not None:
            self._check_tag(event)
        if "\0" in text:
            self._fault(event, "a NUL character", "no variable, label or file name can carry one")
            text = text.replace("\0", "")
        value = unquoted(text) if event.implicit[0] and event.tag is None else text
        if event.anchor:
            self._anchors[event.anchor] = _Part(value, None)
        return value

    def _branch(self, event: Any, spots: _Spots | None) -> _Part:
        self._check_tag(event)
        self._check_depth(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._path.append(None)
        if type(event) is MappingStartEvent:
            part = self._mapping(_Part({}, spots, height=1))
        else:
            part = self._list(_Part([], spots, height=1))
        self._path.pop()
        if event.anchor:
            self._anchors[event.anchor] = part
        return part

    def _list(self, whole: _Part) -> _Part:
        while type(event := self._next()) is not SequenceEndEvent:
            self._path[-1] = len(whole.value)
            whole.value.append(self._entry(event, event, whole))
        return whole

    def _mapping(self, whole: _Part) -> _Part:
        merged: list[dict[str, Any]] = []
        while type(event := self._next()) is not MappingEndEvent:
            self._path[-1] = None
            key = self._key(event)
            merges = key == _MERGE and _is_merge(event)
            if key in whole.value and not merges:
                self._fault(event, "this key stands here twice", "keep one of the two", twin=True)
            following = self._next()
            value = self._entry(event, following, whole)
            if merges:
                merged += self._mergeable(following, value)
            else:
                whole.value.setdefault(key, value)
        for mapping in merged:
            for key, value in mapping.items():
                whole.value.setdefault(key, value)
        return whole

    def _key(self, event: Any) -> str:
        """The text of a key; from here on the path ends with it."""
        if type(event) is ScalarEvent:
            value = self._scalar(event)
        elif type(event) is AliasEvent:
            value = self._alias(event).value
            if not isinstance(value, str):
                self._stop(event, f"a key must be a text, and *{event.anchor} is none")
        else:
            self._check_tag(event)
            self._stop(event, "a key must be a text, not a mapping or list")
        text: str = value if isinstance(value, str) else event.value
        self._path[-1] = text
        if not isinstance(value, str):
            number = "nothing" if value is None else f"the number {text}"
            meaning = value.meaning if isinstance(value, Word) else number
            hint = f'write it in quotes: "{text}"'
            self._fault(event, f"the key {text} is read as {meaning}", hint)
        return text

    def _alias(self, event: Any) -> _Part:
        name = event.anchor
        if name not in self._anchors:
            self._stop(event, f"*{name} repeats nothing: no &{name} stands before it")
        part = self._anchors[name]
        if part is None:
            self._stop(event, f"*{name} repeats the very thing that it stands in")
        self._check_depth(event, part.height)
        return part

    def _mergeable(self, event: Any, value: Any) -> list[dict[str, Any]]:
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(each, dict) for each in mappings):
            return mappings
        hint = "for example: <<: *defaults"
        self._fault(event, "'<<' takes a mapping, or a list of mappings", hint)
        return []

    def _check_tag(self, event: Any) -> None:
        if event.tag not in _TAGS:
            short = event.tag.replace("tag:yaml.org,2002:", "!!")
            kind = "Python tag" if short.startswith("!!python") else "tag"
            hint = "a manifest is plain data: remove it"
            self._fault(event, f"the {kind} {short} is not allowed", hint)

    def _check_depth(self, event: Any, height: int) -> None:
        if len(self._path) - 1 + height > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            self._stop(event, message, "a manifest has six at most")

    def _fault(self, event: Any, message: str, hint: str = "", *, twin: bool = False) -> None:
        path = tuple(key for key in self._path[1:] if key is not None)
        # Of what is nested absurdly deep, the beginning of the path says enough.
        self.faults.append(Fault(Position.of(event.start_mark), path[:8], message, hint, twin))

    def _stop(self, event: Any, message: str, hint: str = "") -> NoReturn:
        self._fault(event, message, hint)
        raise _StopError


def _is_merge(event: Any) -> bool:
    """Whether the `<<` of a key is written without quotes and without a tag."""
    return type(event) is ScalarEvent and event.implicit[0] and event.tag is None


# libyaml's syntax errors in plain words, at the place where a person fixes them.

_WORDS = {
    "mapping values are not allowed in this context": (
        "a ':' where no key can stand",
        "put a text that holds ': ' in quotes, or check the indentation of this line",
    ),
    "did not find expected key": (
        "this does not continue the mapping around it",
        "indent keys like those above them, and check the quotes and brackets here and above",
    ),
    "could not find expected ':'": (
        "a key without its ':'",
        "write it as `key: value`, and close quotes on the line that opens them",
    ),
    "did not find expected '-' indicator": (
        "this does not continue the list above it",
        "begin it with '- '",
    ),
    "block sequence entries are not allowed in this context": (
        "a list item where no list can begin",
        "begin the list on a line of its own, below its key",
    ),
    "did not find expected node content": (
        "a value is missing here",
        "brackets must be opened before they close",
    ),
    "found unknown escape character": (
        "an unknown escape in a double-quoted text",
        "write '\\\\' for a backslash, or use single quotes",
    ),
    "found invalid Unicode character escape code": (
        "an escape that is no character",
        "write '\\\\' for a backslash, or use single quotes",
    ),
    "found a tab character that violates indentation": (
        "a tab in the indentation",
        "indent with spaces",
    ),
    "did not find expected <document start>": (
        "this stands outside the manifest's mapping",
        "every top-level key begins in the first column",
    ),
    "exceeded maximum nesting depth": (
        "nested too deep to be read",
        "a manifest has six levels at most",
    ),
    "found undefined tag handle": (
        "an unknown tag",
        "a manifest is plain data: put a text that begins with '!' in quotes",
    ),
}
_UNCLOSED = {
    "did not find expected ',' or ']'": (
        "a list that is not closed",
        "close it with ']', and put ',' between items",
    ),
    "did not find expected ',' or '}'": (
        "a mapping that is not closed",
        "close it with '}', and put ',' between entries",
    ),
    "found unexpected end of stream": (
        "a quote that is not closed",
        "close it with the same quote",
    ),
}
_CHARACTER = "found character that cannot start any token"


def syntax_fault(error: yaml.MarkedYAMLError, text: str) -> tuple[yaml.Mark | None, str, str]:
    """Mark, message and hint of an error that libyaml raised."""
    problem = str(error.problem or error.context)
    mark = error.problem_mark
    if problem in _UNCLOSED:
        mark = error.context_mark  # where it opens; the problem's mark is where the file ends
        message, hint = _UNCLOSED[problem]
    elif problem == _CHARACTER:
        message, hint = _character(text, mark)
    elif problem in ("did not find expected alphabetic or numeric character",) and error.context:
        message = f"a lonely '{'*' if 'alias' in error.context else '&'}'"
        hint = "put a text that begins with it in quotes"
    else:
        message, hint = _WORDS.get(problem, (problem, ""))
        hint = (mark and _columns(problem, text, mark.line)) or hint
    return mark, f"not YAML: {message}", hint


_KEY = re.compile(r"( *)(?:- +)?[\w.-]+:(?: |$)")


def _columns(problem: str, text: str, line: int) -> str:
    """How to indent a key that begins where no key of the lines above does; "" for other faults."""
    lines = text.splitlines()[: line + 1]
    here = _KEY.match(lines[-1]) if len(lines) > line else None
    above = [(n, found) for n, each in enumerate(lines[:-1], 1) if (found := _KEY.match(each))]
    if here is None or not above:
        return ""
    number, last = above[-1]
    wide, before = len(here[1]), len(last[1])
    if problem == "mapping values are not allowed in this context" and wide > before:
        return (
            f"begin it in column {before + 1}, as line {number} does: that key has a value already"
        )
    if problem != "did not find expected key" or wide == before:
        return ""
    open_: dict[int, int] = {}  # the column of each mapping that goes on here -> its last line
    for at, found in above:
        open_ = {col: n for col, n in open_.items() if col < len(found[1])} | {len(found[1]): at}
    near = sorted(open_, key=lambda column: abs(column - wide))[: 1 if wide > before else 2]
    either = " or ".join(f"{column + 1} (as line {open_[column]})" for column in sorted(near))
    return f"it begins in column {wide + 1}: begin it in column {either}"


def _character(text: str, mark: yaml.Mark | None) -> tuple[str, str]:
    found = text.splitlines()[mark.line][mark.column :][:1] if mark else ""
    if found == "\t":
        return "a tab in the indentation", "indent with spaces"
    return f"'{found}' cannot begin a value", "put the value in quotes"
