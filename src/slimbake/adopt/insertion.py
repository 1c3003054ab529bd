"""A new service as text at the end of `services:`; all that stood in the file stays as it was, byte
for byte.

ruamel.yaml says where things stand. It does not write: it would lay out again what a person laid
out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from slimbake.adopt.writer import flowing, scalar
from slimbake.config.document import read_yaml
from slimbake.config.words import Word
from slimbake.errors import UsageError
from slimbake.host.files import content, write_all

Entry = Mapping[str, Any]

_BOM = b"\xef\xbb\xbf"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class _Style:
    """How the file's services are laid out."""

    indent: int = 2  # columns before a service's name
    step: int = 2  # further columns before its keys
    gap: int = 1  # empty lines between two services


def insert(text: str, name: str, entry: Entry, file: str) -> str:
    """The text of a sound manifest with one more service at the end.

    Raises UsageError, with the entry to be put in by hand, where the text is laid out too
    strangely; `file` names it.
    """
    new = _extended(text, name, entry)
    if new is None or not _holds(text, new, name, entry):
        lines = "".join(_block(name, entry, _Style(), "\n"))
        raise UsageError(
            f"{file} is laid out in a way that cannot be extended safely",
            f"put this in by hand:\n{lines}",
        )
    return new


def _extended(text: str, name: str, entry: Entry) -> str | None:
    """The new text, still to be verified; None where no place for the entry is found."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError:  # it is stricter than the manifest's own reader
        return None
    services = next((value for key, value in root.value if key.value == "services"), None)
    if services is None:  # merged from elsewhere
        return None
    start, end = services.start_mark.index, services.end_mark.index
    if not services.flow_style:
        return _in_block(text, end, _style(text, services), name, entry)
    if re.fullmatch(r"\{\s*\}", text[start:end]) and not root.flow_style:
        return _first(text[:start].rstrip(" "), text[end:], name, entry)
    return None  # in braces


def _in_block(text: str, end: int, style: _Style, name: str, entry: Entry) -> str:
    """Behind the last line of the block, and behind the comments that are indented like its
    services.
    """
    at = 0
    for line in _LINE.finditer(text, 0, end):
        bare = line[0].strip()
        indent = len(line[0]) - len(line[0].lstrip())
        if bare and (not bare.startswith("#") or indent >= style.indent):
            at = line.end()
    newline = _newline(text)
    before = text[:at] if text[:at].endswith("\n") else text[:at] + newline
    return "".join((before, newline * style.gap, *_block(name, entry, style, newline), text[at:]))


def _first(before: str, after: str, name: str, entry: Entry) -> str:
    """In place of `{}`."""
    rest, separator, following = after.partition("\n")
    newline = _newline(before + after)
    return "".join(
        (before, rest, separator or newline, *_block(name, entry, _Style(), newline), following)
    )


def _style(text: str, services: Any) -> _Style:
    key, value = services.value[-1]
    indent = key.start_mark.column
    step = (
        value.value[0][0].start_mark.column - indent if value.value and not value.flow_style else 0
    )
    lines = text[: key.start_mark.index].split("\n")[:-1]
    while lines and lines[-1].lstrip().startswith("#"):
        lines.pop()
    gap = 0
    while lines and not lines[-1].strip():
        lines.pop()
        gap += 1
    return _Style(indent, step if step > 0 else 2, gap if len(services.value) > 1 else 1)


def _block(name: str, entry: Entry, style: _Style, newline: str) -> list[str]:
    inner = " " * (style.indent + style.step)
    lines = (f"{inner}{key}: {flowing(value)}{newline}" for key, value in entry.items())
    return [f"{' ' * style.indent}{scalar(name)}:{newline}", *lines]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _holds(old: str, new: str, name: str, entry: Entry) -> bool:
    """Whether the new text says what the old one says, and this entry last."""
    before, after = read_yaml(old).value, read_yaml(new)
    plainly = {key: _plainly(value) for key, value in entry.items()}
    expected = {**before, "services": {**before["services"], name: plainly}}
    same = after.complete and not after.faults and after.value == expected
    return bool(same and list(after.value["services"]) == list(expected["services"]))


def _plainly(value: Any) -> Any:
    """A value as the manifest's reader gives it."""
    if isinstance(value, dict):
        return {key: _plainly(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plainly(item) for item in value]
    return Word("true" if value else "false") if isinstance(value, bool) else value


def write_text(file: Path, text: str) -> None:
    """Put a manifest's new text in its place, with the byte order mark and mode that it had."""
    before = content(file.parent, file.name)
    after = (_BOM if before.startswith(_BOM) else b"") + text.encode()
    write_all({file.resolve(): after}, mode=None)
