"""`locks/inputs.json`: what each lock file answers, and what was written into it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

FILE = "inputs"  # .json


@dataclass(frozen=True, slots=True)
class Record:
    """Of one lock file, digests: of what it was resolved from, and of its text."""

    asked: str
    lock: str


@dataclass(frozen=True, slots=True)
class Stale:
    """A lock file that does not answer what the manifest asks now."""

    name: str
    why: str
    new: bool = False  # it was never locked: nothing that anybody reviewed would change

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def compare(
    name: str, asked: str, text: str | None, recorded: Mapping[str, Record]
) -> Stale | None:
    """Why the lock `name` with this text, None where there is no file, is stale; None where it is
    not.
    """
    record = recorded.get(name)
    if record is None:
        return Stale(
            name,
            "it was never locked" if text is None else "nothing says what it answers",
            new=text is None,
        )
    if text is None:
        return Stale(name, "its file is missing")
    if record.asked != asked:
        return Stale(name, "what it answers has changed")
    if record.lock != digest(text):
        return Stale(name, "its file was edited")
    return None


def parse(text: str) -> dict[str, Record]:
    """Read the file; what is none, a merge conflict say, records nothing."""
    try:
        return {name: Record(**entry) for name, entry in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def render(records: Mapping[str, Record]) -> str:
    """A line for each lock file, so that a change of one is a change of one line."""
    lines = (
        f' {json.dumps(n)}: {{"asked": "{r.asked}", "lock": "{r.lock}"}}'
        for n, r in sorted(records.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"
