"""A YAML text as plain values: dicts, lists, strings, ints, None, and Words where quotes are
missing.

libyaml's events are turned into values directly: no node objects, no recursion, no tags, and an
alias is the value that it repeats, so a file costs what its text costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml._yaml import CParser

from slimbake.config.places import KeyPath, Place
from slimbake.config.syntax import explained
from slimbake.config.words import Word, plain

MAX_DEPTH = 50
# nodes after aliases are written out; more only if the text itself is of that order
MAX_COPIES = 100_000
_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!", None)
_MERGE = "<<"


class Fault(NamedTuple):
    """What is wrong with the YAML itself; `twin`: the message needs the first place of the key."""

    place: Place
    path: KeyPath
    message: str
    hint: str = ""
    twin: bool = False


class Document(NamedTuple):
    """What a text holds. When it is not `complete`, reading stopped at the last fault."""

    value: Any
    faults: tuple[Fault, ...]
    complete: bool


def document(text: str) -> Document:
    """Read one YAML document; whatever is wrong with it lies in `faults`, nothing is raised."""
    builder = _Builder()
    parser = CParser(text)
    complete = False
    try:
        for event in iter(parser.get_event, None):
            builder.take(event)
        complete = True
    except _StopError:
        pass
    except yaml.MarkedYAMLError as error:
        place, message, hint = explained(error, text)
        builder.faults.append(Fault(place, (), message, hint))
    finally:
        parser.dispose()
    return Document(builder.result, tuple(builder.faults), complete)


class _StopError(Exception):
    """What follows cannot be read in a useful way."""


class _Weight(NamedTuple):
    """What an anchor stands for, with its number of values and levels once all aliases are written
    out.
    """

    value: Any
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is still open."""

    value: Any
    mark: Any
    anchor: str | None
    key: str | None = None  # of a mapping; None: the key comes next
    merge: bool = False  # the key is `<<`
    twice: bool = False  # the key stood here before
    merged: list[dict[str, Any]] = field(default_factory=list)
    size: int = 1
    height: int = 0

    @property
    def wants_key(self) -> bool:
        return self.key is None and type(self.value) is dict


class _Builder:
    def __init__(self) -> None:
        self.result: Any = None
        self.faults: list[Fault] = []
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Weight | None] = {}  # None: still open
        self._written = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event, {} if kind is yaml.MappingStartEvent else [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close()
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                self._stop(event, "a second document begins here", "one file holds one manifest")

    def _scalar(self, event: Any) -> None:
        text = event.value
        self._written += 1
        if event.tag is not None:
            self._check_tag(event)
        if "\0" in text:
            self._fault(event, "a NUL character", "no variable, label or file name can carry one")
            text = text.replace("\0", "")
        bare = event.implicit[0] and event.tag is None
        value = plain(text) if bare else text
        if self._stack and self._stack[-1].wants_key:
            self._key(event, value, text, merge=bare and text == _MERGE)
        else:
            self._put(event, _Weight(value), event.anchor)

    def _open(self, event: Any, empty: Any) -> None:
        self._written += 1
        if event.tag is not None:
            self._check_tag(event)
        if self._stack and self._stack[-1].wants_key:
            self._stop(event, "a key must be a text, not a mapping or list")
        self._check_depth(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(empty, event.start_mark, event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        for mapping in frame.merged:
            for key, value in mapping.items():
                frame.value.setdefault(key, value)
        self._put(frame, _Weight(frame.value, frame.size, frame.height + 1), frame.anchor)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self._anchors:
            self._stop(event, f"*{name} repeats nothing: no &{name} stands before it")
        weight = self._anchors[name]
        if weight is None:
            self._stop(event, f"*{name} repeats the very thing that it stands in")
        self._check_depth(event, weight.height)
        if self._stack[-1].wants_key:
            if not isinstance(weight.value, str):
                self._stop(event, f"a key must be a text, and *{name} is none")
            self._key(event, weight.value, weight.value, merge=False)
        else:
            self._put(event, weight, None)

    def _key(self, event: Any, value: Any, text: str, *, merge: bool) -> None:
        frame = self._stack[-1]
        frame.key, frame.merge, frame.twice = text, merge, False
        if merge:
            return
        if not isinstance(value, str):
            meaning = (
                value.meaning
                if isinstance(value, Word)
                else "nothing"
                if value is None
                else f"the number {text}"
            )
            self._fault(
                event, f"the key {text} is read as {meaning}", f'write it in quotes: "{text}"'
            )
        if text in frame.value:
            frame.twice = True
            self._fault(event, "this key stands here twice", "keep one of the two", twin=True)

    def _put(self, source: Any, weight: _Weight, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = weight
        if not self._stack:
            self.result = weight.value
            return
        frame = self._stack[-1]
        frame.size += weight.size
        frame.height = max(frame.height, weight.height)
        if frame.size > MAX_COPIES and frame.size > 10 * self._written:
            message = f"aliases blow this up to more than {MAX_COPIES:,} values"
            self._stop(source, message, "repeat smaller parts, or write the values out")
        if frame.key is None:
            frame.value.append(weight.value)
            return
        if frame.merge:
            self._merge(source, frame, weight.value)
        elif not frame.twice:
            frame.value[frame.key] = weight.value
        frame.key = None

    def _merge(self, source: Any, frame: _Frame, value: Any) -> None:
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(each, dict) for each in mappings):
            frame.merged += mappings
        else:
            self._fault(
                source, "'<<' takes a mapping, or a list of mappings", "for example: <<: *defaults"
            )

    def _check_tag(self, event: Any) -> None:
        if event.tag not in _TAGS:
            short = event.tag.replace("tag:yaml.org,2002:", "!!")
            kind = "Python tag" if short.startswith("!!python") else "tag"
            self._fault(
                event, f"the {kind} {short} is not allowed", "a manifest is plain data: remove it"
            )

    def _check_depth(self, event: Any, height: int) -> None:
        if len(self._stack) + height > MAX_DEPTH:
            self._stop(
                event, f"nested more than {MAX_DEPTH} levels deep", "a manifest has six at most"
            )

    def _path(self) -> KeyPath:
        return tuple(
            len(f.value) if f.key is None else f.key
            for f in self._stack
            if f.key is not None or type(f.value) is list
        )

    def _fault(self, source: Any, message: str, hint: str = "", *, twin: bool = False) -> None:
        place = Place.of(source.mark if isinstance(source, _Frame) else source.start_mark)
        path = self._path()[:8]  # of what is nested absurdly deep, the beginning tells enough
        self.faults.append(Fault(place, path, message, hint, twin))

    def _stop(self, source: Any, message: str, hint: str = "") -> NoReturn:
        self._fault(source, message, hint)
        raise _StopError
