"""The manifest's bytes as text, or in plain words why not."""

from __future__ import annotations

import re
from pathlib import Path

from slimbake.errors import ManifestError, Problem
from slimbake.manifest.files import NotTextError, decoded
from slimbake.manifest.places import Place

# YAML's printable characters; everything else is refused by libyaml too, but without a line and column.
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def source(path: Path) -> str:
    """The text of a manifest; ManifestError when there is none."""
    try:
        data = _bytes(path)
        text = decoded(data)
    except NotTextError as error:
        raise _refused(path, error.message, error.hint, error.place) from error
    except FileNotFoundError as error:
        hint = "go to the folder of your manifest, or name the file"
        raise _refused(path, "no such file", hint) from error
    except (OSError, ValueError) as error:
        raise _refused(
            path, f"cannot be read: {(getattr(error, 'strerror', '') or str(error)).lower()}"
        ) from error
    if not text.strip():
        raise _refused(path, "the file is empty", "a manifest begins with: project: NAME")
    if found := _CONTROL.search(text):
        message = f"the control character U+{ord(found[0]):04X}"
        raise _refused(
            path,
            message,
            'remove it, or write it as "\\x.." in double quotes',
            Place.offset(text, found.start()),
        )
    return text


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it is no regular file")
    return path.read_bytes()


def _refused(path: Path, message: str, hint: str = "", place: Place | None = None) -> ManifestError:
    line, column = place or (0, 0)
    return ManifestError.of(path.name, [Problem(path.name, line, column, "", message, hint)])
