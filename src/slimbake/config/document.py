"""One read of a YAML text: its plain values, where each key and value stands, and what is wrong.

Values are dicts, lists, strings, ints, None, and Words where quotes are missing. An alias is the
value that it repeats, so a file costs what its text costs.
"""

from __future__ import annotations

import contextlib
import unicodedata
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml import MappingNode, Node, ScalarNode

from slimbake.config.words import Word, unquoted

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 50
# values after aliases are written out; more only if the text itself is of that order
MAX_COPIES = 100_000
_PLAIN = "plain"  # in place of a tag: written without quotes and without a tag
_TAGS = ("", _PLAIN, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq")))
_MERGE = "<<"


class Position(NamedTuple):
    """A position in a text, counted from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Any) -> Position:
        """From libyaml's mark, which counts from 0; without one, the beginning of the text."""
        if mark:
            return cls(mark.line + 1, mark.column + 1)
        return cls(1, 1)

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


class _Loader(yaml.CSafeLoader):
    """Takes no value for what it might be: `words` says that."""

    def resolve(self, kind: type[Node], value: str, implicit: Any) -> str:
        return _PLAIN if kind is ScalarNode and implicit[0] else ""


class Places:
    """The first place of every key and value in a text, which is read again for the first of them:
    most texts are sound, and these places take more memory than the values.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._entries: dict[int, dict[Any, tuple[Node, Node]]] = {}  # of a mapping or list

    @cached_property
    def _root(self) -> Node | None:
        with contextlib.suppress(yaml.YAMLError):
            return _Loader(self._text).get_single_node()
        return None

    def key(self, path: KeyPath) -> Position:
        """Where the key (or list item) at `path` stands, or the nearest thing around it."""
        return self._nearest(path)[0]

    def value(self, path: KeyPath) -> Position:
        """Where the value at `path` begins, or the nearest thing around it."""
        return self._nearest(path)[1]

    def _nearest(self, path: KeyPath) -> tuple[Position, Position]:
        key = value = self._root
        for step in path:
            if id(value) not in self._entries:
                self._entries[id(value)] = _entries(value)
            if step not in self._entries[id(value)]:
                break
            key, value = self._entries[id(value)][step]
        return Position.of(key and key.start_mark), Position.of(value and value.start_mark)


def _entries(node: Node | None) -> dict[Any, tuple[Node, Node]]:
    """Of each entry of a mapping or list the nodes of its key and its value, by key or number."""
    entries: dict[Any, tuple[Node, Node]] = {}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode):
                entries.setdefault(key.value, (key, value))  # of two equal keys the first
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            entries[number] = (item, item)
    return entries


class YamlDocument(NamedTuple):
    """What a text holds. When it is not `complete`, reading stopped at the last fault."""

    value: Any
    faults: tuple[Fault, ...]
    complete: bool
    places: Places


def read_yaml(text: str) -> YamlDocument:
    """Read one YAML document; all that is wrong with it is in `faults`, nothing is raised."""
    reader = _Reader(max(MAX_COPIES, len(text)))
    value, complete = None, False
    try:
        root = _Loader(text).get_single_node()
        value = reader.value(root, ()) if root else None
        complete = True
    except _StopError:
        pass
    except yaml.MarkedYAMLError as error:
        reader.faults.append(_no_yaml(error, text))
    return YamlDocument(value, tuple(reader.faults), complete, Places(text))


def _no_yaml(error: yaml.MarkedYAMLError, text: str) -> Fault:
    place = Position.of(error.problem_mark)
    around = text.splitlines()[max(place.line - 2, 0) : place.line]
    hint = f"see {' and '.join(map(repr, around))}"
    if "\\t" in hint:  # a tab, as `repr` writes it
        hint += "; indent with spaces"
    if error.context_mark:
        hint = f"{error.context} at line {error.context_mark.line + 1}\n{hint}"
    return Fault(place, (), f"not YAML: {error.problem or error.context}", hint)


class _StopError(Exception):
    """What follows cannot be read in a useful way."""


class _Whole(NamedTuple):
    """A mapping or list, and how many values and levels it has with aliases written out."""

    value: Any
    size: int
    height: int


class _Reader:
    """Makes values of nodes. It calls itself for nested ones, at most MAX_DEPTH deep."""

    def __init__(self, limit: int) -> None:
        self.faults: list[Fault] = []
        self._limit = limit
        self._texts: dict[str, str] = {}  # each text once: services have most of theirs in common
        self._wholes: dict[int, _Whole | None] = {}  # by their nodes' ids; None: still open
        self._size = self._height = 0  # of what is read now

    def value(self, node: Node, path: KeyPath) -> Any:
        """The value of a node. Raises _StopError after the last fault."""
        if node.tag not in _TAGS:
            short = node.tag.replace("tag:yaml.org,2002:", "!!")
            kind = "Python tag" if short.startswith("!!python") else "tag"
            hint = "a manifest is plain data: remove it"
            self._fault(node, path, f"the {kind} {short} is not allowed", hint)
        if isinstance(node, ScalarNode):
            self._size += 1
            if "\0" in node.value:
                hint = "no variable, label or file name can carry one"
                self._fault(node, path, "a NUL character", hint)
            if not unicodedata.is_normalized("NFC", node.value):  # HCL's strings are
                hint = "write letters and their accents as one character: form C, or NFC"
                self._fault(node, path, "a text that is not in Unicode's form C", hint)
            text = node.value.replace("\0", "")
            text = self._texts.setdefault(text, text)
            return unquoted(text) if node.tag == _PLAIN else text
        if id(node) not in self._wholes:
            self._wholes[id(node)] = None
            self._wholes[id(node)] = self._whole(node, path)
        whole = self._wholes[id(node)]
        if whole is None:
            self._stop(node, path, "an alias repeats the very thing that it stands in")
        self._size += whole.size
        self._height = max(self._height, whole.height)
        if len(path) + whole.height > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            self._stop(node, path, message, "a manifest has six at most")
        if self._size > self._limit:
            message = f"aliases blow this up to more than {MAX_COPIES:,} values"
            self._stop(node, path, message, "repeat smaller parts, or write the values out")
        return whole.value

    def _whole(self, node: Node, path: KeyPath) -> _Whole:
        if len(path) > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            self._stop(node, path, message, "a manifest has six at most")
        before, self._size, self._height = (self._size, self._height), 1, 0
        read = self._mapping if isinstance(node, MappingNode) else self._list
        whole = _Whole(read(node, path), self._size, self._height + 1)
        self._size, self._height = before
        return whole

    def _list(self, node: Node, path: KeyPath) -> list[Any]:
        return [self.value(item, (*path, at)) for at, item in enumerate(node.value)]

    def _mapping(self, node: Node, path: KeyPath) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            at = (*path, key)
            if key == _MERGE and key_node.tag == _PLAIN:
                value = self.value(value_node, at)
                mappings = value if isinstance(value, list) else [value]
                merged += [mapping for mapping in mappings if isinstance(mapping, dict)]
                if not all(isinstance(mapping, dict) for mapping in mappings):
                    message = "'<<' takes a mapping, or a list of mappings"
                    self._fault(value_node, at, message, "for example: <<: *defaults")
                continue
            if key in entries:
                message = "this key stands here twice"
                self._fault(key_node, at, message, "keep one of the two", twin=True)
            entries.setdefault(key, self.value(value_node, at))
        for mapping in merged:
            for key, value in mapping.items():
                entries.setdefault(key, value)
        return entries

    def _key(self, node: Node, path: KeyPath) -> str:
        value = self.value(node, path)
        if not isinstance(node, ScalarNode):
            self._stop(node, path, "a key must be a text, not a mapping or list")
        text = self._texts.setdefault(node.value, node.value)
        if not isinstance(value, str):
            number = "nothing" if value is None else f"the number {text}"
            meaning = value.meaning if isinstance(value, Word) else number
            hint = f'write it in quotes: "{text}"'
            self._fault(node, (*path, text), f"the key {text} is read as {meaning}", hint)
        return text

    def _fault(
        self, node: Node, path: KeyPath, message: str, hint: str = "", *, twin: bool = False
    ) -> None:
        # Of what is nested absurdly deep, the beginning of the path says enough.
        self.faults.append(Fault(Position.of(node.start_mark), path[:8], message, hint, twin))

    def _stop(self, node: Node, path: KeyPath, message: str, hint: str = "") -> NoReturn:
        self._fault(node, path, message, hint)
        raise _StopError
