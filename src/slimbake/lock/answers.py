"""Reads what uv answers: requirements with annotations. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^#]*(?:# via"
    r" (?P<via>.*))?$"
)


@dataclass(frozen=True, slots=True)
class Needed:
    """One package of a resolution, and what needs it there."""

    name: str
    version: str
    via: tuple[str, ...]  # names of packages; "" = a requirement of ours


def parse_compiled(text: str) -> tuple[Needed, ...]:
    """`uv pip compile --annotation-style line`: `anyio==4.16.0  # via httpx, -r api.in`."""
    found = (_LINE.match(line) for line in text.splitlines())
    return tuple(
        Needed(line["name"], line["version"], _via(line["via"] or "")) for line in found if line
    )


def _via(text: str) -> tuple[str, ...]:
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    named = {
        "" if entry.startswith("-r ") else entry for entry in entries if not entry.startswith("-c ")
    }
    return tuple(sorted(named))
