"""Collects every problem of one manifest, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from slimbake.config.document import KeyPath, Places, Position
from slimbake.errors import ManifestError, Problem

_LONGEST = 400
MOST = 500  # problems: to find a hint for each takes milliseconds
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class RefusedError(Exception):
    """A value or file that cannot be taken. The caller reports it: it knows which one it is.

    `place`: where in a file the fault is, if that is known.
    """

    def __init__(self, message: str, hint: str = "", place: Position | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place


class ProblemReport:
    """The problems found so far in the manifest `file` (its name) and in the files that it names."""

    def __init__(self, file: str, places: Places) -> None:
        self.file = file
        self.places = places
        # A file that two services share is reported once.
        self._problems: dict[Problem, None] = {}
        self.warnings: dict[Problem, None] = {}
        self._known: set[tuple[Position, str]] = set()

    def value(self, path: KeyPath, message: str, hint: str = "") -> None:
        """A fault of the value at `path`."""
        self.place(self.places.value(path), path, message, hint)

    def key(self, path: KeyPath, message: str, hint: str = "") -> None:
        """A fault of the key at `path`, or of what is missing below it."""
        self.place(self.places.key(path), path, message, hint)

    def has_key(self, path: KeyPath) -> bool:
        """Whether a fault of the key at `path` is known."""
        return bool(self._known) and (self.places.key(path), dotted_path(path)) in self._known

    def has_value(self, path: KeyPath) -> bool:
        """Whether a fault of the value at `path` is known."""
        return bool(self._known) and (self.places.value(path), dotted_path(path)) in self._known

    def lacks(self, entry: Mapping[str, object], key: str, at: KeyPath) -> bool:
        """Whether the mapping `entry` at `at` has no such key: one whose value was refused is not
        there for rules, and a fault of its own.
        """
        return key not in entry and not self.has_value((*at, key))

    def warning(self, path: KeyPath, message: str, hint: str) -> None:
        """What is allowed at `path`, and likely not what is meant."""
        place, subject = self.places.value(path), _shown(dotted_path(path))
        self.warnings[Problem(self.file, *place, subject, _shown(message), hint)] = None

    def doubt(self, file: str, place: Position | None, message: str, hint: str) -> None:
        """What is allowed in another file, and may not be what is meant."""
        problem = Problem(file, *(place or Position(0, 0)), "", _shown(message), hint)
        self.warnings[problem] = None

    def place(self, place: Position, path: KeyPath, message: str, hint: str = "") -> None:
        """A fault at a place of the manifest that is known already."""
        self._known.add((place, dotted_path(path)))
        self._add(self.file, place, path, message, hint)

    def elsewhere(self, file: str, place: Position | None, message: str, hint: str = "") -> None:
        """A fault in another file, relative to the manifest's folder; no place: the file as a
        whole.
        """
        self._add(file, place or Position(0, 0), (), message, hint)

    def _add(self, file: str, place: Position, path: KeyPath, message: str, hint: str) -> None:
        """Keep a problem. Raises ManifestError where there are too many."""
        # A value may hold anything, and a message is one line on somebody's terminal.
        lines = "\n".join(_shown(line) for line in hint.split("\n"))
        subject = _shown(dotted_path(path))
        problem = Problem(file, *place, subject, _shown(message), lines, path)
        self._problems[problem] = None
        if len(self._problems) == MOST:
            end = Problem(self.file, 0, 0, "", f"slimbake stops at {MOST:,} problems")
            self._problems[end] = None
            self.stop()

    def __len__(self) -> int:
        return len(self._problems)

    def where(self, path: KeyPath) -> str:
        """The place of a key, for the message about another one."""
        line, column = self.places.key(path)
        return f"{self.file}:{line}:{column}"

    def stop(self) -> None:
        """Raise ManifestError with every problem, if there is any."""
        if self._problems:
            raise ManifestError.of(self.file, tuple(self._problems))


def _shown(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in short
    )


def dotted_path(path: KeyPath) -> str:
    """`services.api.platforms[1]`; a key that would mislead there stands in quotes."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _BARE.fullmatch(key) else f'"{key}"')
    return text


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A hint: the known word that it begins with or the closest one, or all of them when none is close
    and they are few.
    """
    known = {candidate.lower(): candidate for candidate in sorted(candidates)}
    matches = sorted(filter(word.lower().startswith, known), key=len, reverse=True)
    matches = matches or get_close_matches(word.lower(), known, n=1)
    if matches:
        return f"did you mean '{known[matches[0]]}'?"
    if 0 < len(known) <= 12:
        return f"known: {', '.join(known.values())}"
    return ""
