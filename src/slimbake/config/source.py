"""A file's bytes as text, or in plain words why not."""

from __future__ import annotations

import re
from pathlib import Path

from slimbake.config.document import Position
from slimbake.config.report import RefusedError
from slimbake.errors import ManifestError, Problem

# Everything but YAML's printable characters; libyaml refuses it too, but without a line and column.
_CONTROL = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def yaml_text(path: Path) -> str:
    """The text of a YAML file; ManifestError when it has none."""
    try:
        text = decoded(_bytes(path))
    except RefusedError as error:
        raise unreadable(path, error.message, error.hint, error.place) from error
    except FileNotFoundError as error:
        hint = "go to the folder of your manifest, or name the file"
        raise unreadable(path, "no such file", hint) from error
    except (OSError, ValueError) as error:
        raise unreadable(path, f"cannot be read: {os_reason(error)}") from error
    if found := _CONTROL.search(text):
        code = f"{ord(found[0]):04X}"
        hint = f'remove it, or write it as \\u{code} in double quotes: "\\u{code}"'
        place = Position.offset(text, found.start())
        raise unreadable(path, f"the control character U+{code}", hint, place)
    return text


def unreadable(
    path: Path, message: str, hint: str = "", place: Position | None = None
) -> ManifestError:
    """The error of a file that cannot be looked into."""
    name = path.name or str(path)
    return ManifestError.of(name, [Problem(name, *(place or Position(0, 0)), "", message, hint)])


def decoded(data: bytes) -> str:
    """UTF-8 with or without a byte order mark; RefusedError with the place of the first other byte."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig")
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        message = (
            "UTF-16, and UTF-8 is wanted"
            if utf16
            else f"the byte 0x{data[error.start]:02x} is no UTF-8"
        )
        place = Position.offset(good, len(good))
        raise RefusedError(message, "save the file as UTF-8", place) from error


def os_reason(error: Exception) -> str:
    """What the operating system says of a file that it does not read."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it is no regular file")
    return path.read_bytes()
