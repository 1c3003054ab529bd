"""A new service as text at the end of `services:`; all other text of the file stays as it was, byte
for byte.

ruamel.yaml says where `services:` begins and ends. It does not write: it would lay out again what a
person laid out.
"""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from slimbake.adopt.model import Entry
from slimbake.adopt.writer import flowing, scalar
from slimbake.config.document import read_yaml
from slimbake.errors import UsageError
from slimbake.host.files import content, write_all

_BOM = b"\xef\xbb\xbf"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_INDENT = 2  # columns


def insert(text: str, name: str, entry: Entry, file: str) -> str:
    """The text of a sound manifest with one more service at the end.

    Raises UsageError, with the entry to be put in by hand, where the text is laid out too
    strangely; `file` names it.
    """
    new = _extended(text, name, entry)
    if new is None or not _says(new, text, name, entry):
        raise UsageError(
            f"{file} is laid out in a way that cannot be extended safely",
            f"put this in by hand:\n{_block(name, entry, _INDENT)}",
        )
    return new


def _extended(text: str, name: str, entry: Entry) -> str | None:
    """The new text, not verified; None where no place for the entry is found."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError:  # it is stricter than the manifest's own reader
        return None
    services = next((value for key, value in root.value if key.value == "services"), None)
    if services is None:  # merged from elsewhere
        return None
    start, end = services.start_mark.index, services.end_mark.index
    newline = "\r\n" if "\r\n" in text else "\n"
    if not services.flow_style:
        indent = services.start_mark.column
        at = _end_of_block(text, end, indent)
        before, gap = text[:at], newline
    elif re.fullmatch(r"\{\s*\}", text[start:end]) and not root.flow_style:
        # The entry takes the place of the empty braces, below what follows them on their line.
        indent, gap = _INDENT, ""
        at = text.find("\n", end) + 1 or len(text)
        before = text[:start].rstrip(" ") + text[end:at]
    else:  # in braces
        return None
    if not before.endswith("\n"):
        before += newline
    return before + gap + _block(name, entry, indent).replace("\n", newline) + text[at:]


def _end_of_block(text: str, end: int, indent: int) -> int:
    """The end of the last line of a block, and of comments behind it that are indented like its
    services.
    """
    last = 0
    for line in _LINE.finditer(text, 0, end):
        bare = line[0].strip()
        columns = len(line[0]) - len(line[0].lstrip())
        if bare and (not bare.startswith("#") or columns >= indent):
            last = line.end()
    return last


def _block(name: str, entry: Entry, indent: int) -> str:
    """The lines of an entry: its name, and each key in one."""
    margin = " " * indent
    lines = [f"{margin}{scalar(name)}:\n"]
    for key, value in entry.items():
        lines.append(f"{margin}{' ' * _INDENT}{key}: {flowing(value)}\n")
    return "".join(lines)


def _says(new: str, old: str, name: str, entry: Entry) -> bool:
    """Whether the new text says what the old one says, and this entry last."""
    before, after = read_yaml(old).value, read_yaml(new)
    services = before["services"] | read_yaml(_block(name, entry, 0)).value
    if not after.complete or after.faults or after.value != {**before, "services": services}:
        return False
    return list(after.value["services"]) == list(services)


def write_text(file: Path, text: str) -> None:
    """Put a manifest's new text in its place, with the byte order mark and mode that it had."""
    before = content(file.parent, file.name)
    after = (_BOM if before.startswith(_BOM) else b"") + text.encode()
    write_all({file.resolve(): after}, mode=None)
