"""The committed locks as one value: read once, and what is stale of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from slimbake.config.naming import LOCKS
from slimbake.fleet.model import Fleet
from slimbake.fleet.resolve import keeps
from slimbake.host.files import write_atomically
from slimbake.inside.debs import Deb, parse_debs
from slimbake.lock.files import (
    EXTERNALS_HEADER,
    SYSTEM_HEADER,
    WEIGHTS_HEADER,
    parse_externals,
    parse_layers,
)
from slimbake.lock.model import Pin, families
from slimbake.lock.text import HEADER, parse_pins

if TYPE_CHECKING:
    from slimbake.layering.bases import PlannedBases

EXTERNALS = "externals"
LAYERS = "layers"  # the record of the layers that were found
INPUTS = "inputs"  # what each lock answers, and what was written into it

_HEADERS = (HEADER, SYSTEM_HEADER, WEIGHTS_HEADER, EXTERNALS_HEADER)


@dataclass(frozen=True, slots=True)
class LockRecord:
    """Of one lock, digests: of what it was resolved from, and of its text."""

    asked: str
    lock: str


@dataclass(frozen=True, slots=True)
class Stale:
    """A lock that does not answer what the manifest asks now."""

    name: str
    why: str
    new: bool = False  # it was never locked: nothing that anybody reviewed would change

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


@dataclass(frozen=True)
class Locks:
    """The locks as they are, fresh or not."""

    texts: Mapping[str, str]  # file name -> text

    def text(self, name: str) -> str | None:
        """The text of a lock, None where there is none."""
        return self.texts.get(lock_file(name))

    @cached_property
    def packages(self) -> frozenset[str]:
        """The names of the locks of packages."""
        found = (name for name, text in self.texts.items() if text.startswith(HEADER))
        return frozenset(name.removesuffix(".txt") for name in found)

    def pins(self, name: str) -> tuple[Pin, ...]:
        """The packages of a lock; none where there is no lock."""
        if name not in self._pins:
            self._pins[name] = parse_pins(self.text(name) or "")
        return self._pins[name]

    def debs(self, name: str) -> tuple[Deb, ...]:
        """The Debian packages of a lock of those; none where there is no lock."""
        return tuple(parse_debs(self.text(name) or ""))

    @cached_property
    def _pins(self) -> dict[str, tuple[Pin, ...]]:
        return {}

    @cached_property
    def layers(self) -> PlannedBases | None:
        """The layers that were found; None where there are none, or where they cannot be read."""
        return parse_layers(self.text(LAYERS) or "")

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Image -> digest, of the externals that are pinned."""
        return parse_externals(self.text(EXTERNALS) or "")

    @cached_property
    def records(self) -> Mapping[str, LockRecord]:
        """What each lock answers; nothing where the file is none, such as a merge conflict."""
        try:
            found = json.loads(self.text(INPUTS) or "{}")
            return {name: LockRecord(**entry) for name, entry in found.items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    def compared(self, name: str, asked: str) -> Stale | None:
        """Why a lock is stale that has to answer `asked`, a digest; None where it is fresh."""
        record, text = self.records.get(name), self.text(name)
        if record is None:
            why = "it was never locked" if text is None else "nothing says what it answers"
            return Stale(name, why, new=text is None)
        if text is None:
            return Stale(name, "its file is missing")
        if record.asked != asked:
            return Stale(name, "what it answers has changed")
        if record.lock != text_digest(text):
            return Stale(name, "its file was edited")
        return None


def read_locks(root: Path) -> Locks:
    """Every lock of a repository."""
    folder = root / LOCKS
    files = [
        *sorted(folder.glob("*.txt")),
        *(folder / lock_file(name) for name in (LAYERS, INPUTS)),
    ]
    return Locks({path.name: path.read_text("utf-8") for path in files if path.is_file()})


def write_locks(
    root: Path, texts: Mapping[str, str], records: Mapping[str, LockRecord]
) -> tuple[str, ...]:
    """Write what differs, and remove locks of ours that nothing asks for any more.

    `texts`: name -> text of what is new; `records`: of every lock. The names of changed files.
    """
    folder = root / LOCKS
    files = {lock_file(n): t for n, t in (*texts.items(), (INPUTS, _records_text(records)))}
    changed = tuple(name for name, text in files.items() if _text(folder / name) != text)
    for name in changed:
        write_atomically(folder / name, files[name].encode())
    _remove_others(folder, {lock_file(name) for name in (*records, INPUTS)})
    return changed


def _remove_others(folder: Path, live: Collection[str]) -> None:
    found = folder / lock_file(LAYERS)
    for path in (*folder.glob("*.txt"), *([found] if found.is_file() else [])):
        ours = path == found or path.read_text("utf-8").startswith(_HEADERS)
        if path.name not in live and ours:
            path.unlink()


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def _records_text(records: Mapping[str, LockRecord]) -> str:
    """A line for each lock, so that a change of one is a change of one line."""
    lines = (
        f' {json.dumps(name)}: {{"asked": "{record.asked}", "lock": "{record.lock}"}}'
        for name, record in sorted(records.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def text_digest(text: str) -> str:
    """The SHA-256 of a text, as registries write it."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def lock_file(name: str) -> str:
    """The name of a lock's file."""
    return f"{name}.json" if name in {LAYERS, INPUTS} else f"{name}.txt"


def locked_pins(fleet: Fleet, locks: Locks) -> dict[str, tuple[Pin, ...]]:
    """The packages of every layer by its name; a layer without a lock has none."""
    names = (layer.name for family in families(fleet) for layer in family.layers)
    return {name: locks.pins(name) for name in names}


def kept_layers(fleet: Fleet, locks: Locks) -> PlannedBases | None:
    """The layers that were found, less what the fleet has no use for any more."""
    return keeps(fleet, locks.layers) if locks.layers else None
