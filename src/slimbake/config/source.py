"""The manifest's bytes as text, or in plain words why not."""

from __future__ import annotations

import re
from pathlib import Path

from slimbake.config.document import Place
from slimbake.config.files import NotTextError, decoded
from slimbake.errors import ManifestError, Problem

# Everything but YAML's printable characters; libyaml refuses it too, but without a line and column.
_CONTROL = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def source(path: Path) -> str:
    """The text of a manifest; ManifestError when it is none."""
    try:
        text = decoded(_bytes(path))
    except NotTextError as error:
        raise refused(path, error.message, error.hint, error.place) from error
    except FileNotFoundError as error:
        raise refused(
            path, "no such file", "go to the folder of your manifest, or name the file"
        ) from error
    except OSError as error:
        raise refused(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise refused(path, f"cannot be read: {error}") from error
    if found := _CONTROL.search(text):
        code = f"{ord(found[0]):04X}"
        hint = f'remove it, or write it as \\u{code} in double quotes: "\\u{code}"'
        raise refused(
            path, f"the control character U+{code}", hint, Place.offset(text, found.start())
        )
    return text


def refused(path: Path, message: str, hint: str = "", place: Place | None = None) -> ManifestError:
    """The error of a file that cannot be looked into."""
    name = path.name or str(path)
    return ManifestError.of(name, [Problem(name, *(place or Place(0, 0)), "", message, hint)])


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it is no regular file")
    return path.read_bytes()
