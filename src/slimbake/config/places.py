"""Where each key and value of a YAML text stands; asked only when there is something to complain
about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml._yaml import CParser

KeyPath = tuple[str | int, ...]


class Place(NamedTuple):
    """A position in a text, counted from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Any) -> Place:
        """From libyaml's mark, which counts from 0."""
        return cls(mark.line + 1, mark.column + 1)

    @classmethod
    def offset(cls, text: str, index: int) -> Place:
        """The place of the character with this index."""
        before = text[:index]
        return cls(before.count("\n") + 1, index - before.rfind("\n"))


@dataclass(frozen=True, slots=True)
class Places:
    """The first place of every key path in a text."""

    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)

    def key(self, path: KeyPath) -> Place:
        """Where the key (or list item) at `path` stands, or the nearest thing around it."""
        return _nearest(self.keys, path)

    def value(self, path: KeyPath) -> Place:
        """Where the value at `path` begins, or the nearest thing around it."""
        return _nearest(self.values, path)


def _nearest(places: dict[KeyPath, Place], path: KeyPath) -> Place:
    for length in range(len(path), -1, -1):
        if found := places.get(path[:length]):
            return found
    return Place(1, 1)


def places(text: str) -> Places:
    """Index a YAML text, as far as it can be read."""
    found = Places()
    parser = CParser(text)
    path: list[str | int | None] = []  # of the next thing; None in last place: a key comes next
    try:
        for event in iter(parser.get_event, None):
            _step(event, path, found)
    except (yaml.YAMLError, _TooDeepError):
        pass  # the reader reports it; what stands before it is indexed
    finally:
        parser.dispose()
    return found


class _TooDeepError(Exception):
    pass


def _step(event: Any, path: list[str | int | None], found: Places) -> None:
    kind = type(event)
    if kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
        path.pop()
    elif not isinstance(event, yaml.NodeEvent):
        return
    elif path and path[-1] is None and isinstance(event, yaml.ScalarEvent):
        path[-1] = event.value
        found.keys.setdefault(tuple(path), Place.of(event.start_mark))  # type: ignore[arg-type]
        return
    else:
        found.values.setdefault(tuple(path), Place.of(event.start_mark))  # type: ignore[arg-type]
        if path and isinstance(path[-1], int):
            found.keys.setdefault(tuple(path), Place.of(event.start_mark))  # type: ignore[arg-type]
        if isinstance(event, yaml.CollectionStartEvent):
            if len(path) > 100:
                raise _TooDeepError
            path.append(None if kind is yaml.MappingStartEvent else 0)
            return
    if path:
        last = path[-1]
        path[-1] = last + 1 if isinstance(last, int) else None
