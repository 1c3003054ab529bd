"""Paths that a manifest names: kept inside its folder, links followed, and read."""

from __future__ import annotations

import codecs
import contextlib
import os
import posixpath
import re
import stat
from pathlib import Path

from slimbake.config.compose import OWN, OwnCompose, defined
from slimbake.config.document import Position
from slimbake.config.report import RefusedError
from slimbake.errors import ManifestError, Problem
from slimbake.host.files import LOCK, TEXT, content

# What YAML does not count as printable; libyaml refuses it too, but without a line and column.
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")


def yaml_text(path: Path) -> str:
    """The text of a YAML file; ManifestError when it has none."""
    try:
        text = decoded(content(path.parent, path.name, TEXT))
    except RefusedError as error:
        raise unreadable(path, error.message, error.hint, error.place) from error
    except FileNotFoundError as error:
        hint = "go to its folder, or name the file; `slimbake init` writes one for a repository"
        for suffix in (".yaml", ".yml"):
            other = path.with_suffix(suffix)
            if other.is_file():
                hint = (
                    f"{other.name} exists: rename it to {path.name}, or name it with `--manifest`"
                )
        raise unreadable(path, "no such file", hint) from error
    except (OSError, ValueError) as error:
        raise unreadable(path, f"cannot be read: {os_reason(error)}") from error
    if match := _CONTROL.search(text):
        place = Position.offset(text, match.start())
        message = f"the control character U+{ord(match[0]):04X}"
        raise unreadable(path, message, "remove it, or escape it in double quotes", place)
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
        message = f"the byte 0x{data[error.start]:02x} is no UTF-8"
        place = Position.offset(good, len(good))
        raise RefusedError(message, "save the file as UTF-8", place) from error


def os_reason(error: Exception) -> str:
    """What the operating system says of a file that it does not read."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def own_compose(root: Path) -> OwnCompose:
    """What a repository's own compose file defines; nothing of one that cannot be read."""
    for name in OWN:
        with contextlib.suppress(OSError, ValueError):
            if (compose := defined(name, content(root, name, TEXT).decode())).name:
                return compose
    return OwnCompose()


class ManifestFolder:
    """The manifest's folder; every path that goes in or comes out is POSIX and relative to it."""

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._folders: dict[str, str] = {"": self._root}  # relative path -> real path

    def folder(self, text: str, within: str = "") -> str:
        """The folder `text`, written relative to `within`; RefusedError when the repository has
        none.
        """
        relative = self.inside(text, within)
        if relative != "." and not stat.S_ISDIR(self._find(relative, text)[1]):
            raise RefusedError(f"'{text}' is a file, and a folder is wanted")
        return relative

    def file(self, text: str, within: str = "") -> str:
        """The file `text`, written relative to `within`; RefusedError when the repository has none."""
        relative = self.inside(text, within)
        mode = stat.S_IFDIR if relative == "." else self._find(relative, text)[1]
        if not stat.S_ISREG(mode):
            folder = "a folder, and a file is wanted"
            raise RefusedError(f"'{text}' is {folder if stat.S_ISDIR(mode) else 'no regular file'}")
        return relative

    def inside(self, text: str, within: str = "") -> str:
        """The normalised path of `text`; RefusedError when it points out of the repository."""
        if "\\" in text:
            raise RefusedError(
                f"'{text}' holds a backslash", "paths are written with '/' on every system"
            )
        if text.startswith(("/", "~")):
            raise RefusedError(
                f"'{text}' is absolute", "write it relative, so that it holds on every machine"
            )
        relative = posixpath.normpath(posixpath.join(within, text))
        if relative == ".." or relative.startswith("../"):
            raise RefusedError(
                f"'{text}' lies outside the repository",
                "it must lie in or below the manifest's folder",
            )
        return relative

    def exists(self, relative: str) -> bool:
        """Whether there is anything at a path that `inside` gave."""
        return os.path.lexists(f"{self._root}/{relative}")

    def is_file(self, text: str) -> bool:
        """Whether a path, as it is written, is a file of the repository."""
        try:
            self.file(text)
        except RefusedError:
            return False
        return True

    def folders(self, pattern: str) -> list[str]:
        """The folders that a glob pattern matches, sorted; RefusedError when it points out of the
        repository.
        """
        if pattern.count("**") > 1:  # two of them try each folder below each folder
            raise RefusedError(f"'{pattern}' has `**` more than once", "name the folders")
        inside = self.inside(pattern)
        if inside == ".":  # of which glob makes an IndexError
            return ["."]
        folders = []
        try:
            for path in Path(self._root).glob(inside):
                if path.is_dir():
                    folders.append(path.relative_to(self._root).as_posix())
        except ValueError:
            message = f"'{pattern}' has `**` beside other characters"
            raise RefusedError(message, "name the folders") from None
        return sorted(folders)

    def read(self, relative: str, largest: int = LOCK) -> str:
        """The text of a file that `file` gave; RefusedError when it is neither UTF-8 nor, as
        PowerShell writes what `pip freeze` prints, UTF-16 with a byte order mark, or cannot be read.

        `largest`: bytes.
        """
        try:
            data = content(self._root, relative, largest)
            if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return data.decode("utf-16")
            return decoded(data)
        except UnicodeDecodeError as error:
            raise RefusedError(f"'{relative}' is no UTF-16", "save the file as UTF-8") from error
        except OSError as error:
            raise RefusedError(f"'{relative}' cannot be read: {os_reason(error)}") from error

    def _find(self, relative: str, text: str) -> tuple[str, int]:
        """Real path and file mode, links followed one folder at a time so that none leads out on
        the way.
        """
        parent, _, name = relative.rpartition("/")
        folder = self._folders.get(parent) or self._parent(parent, text)
        path = f"{folder}/{name}"
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                path = os.path.realpath(path, strict=True)
                mode = Path(path).stat().st_mode
        except FileNotFoundError as error:
            raise self._missing(relative, text) from error
        except (OSError, ValueError) as error:
            raise RefusedError(f"'{text}' cannot be read: {os_reason(error)}") from error
        if path != self._root and not path.startswith(self._root.rstrip("/") + "/"):
            outside = posixpath.relpath(path, self._root)
            raise RefusedError(
                f"'{text}' is a link that leads out of the repository, to '{outside}'",
                "a build sees the repository only: move or copy it in",
            )
        if stat.S_ISDIR(mode):
            self._folders[relative] = path
        return path, mode

    def _parent(self, relative: str, text: str) -> str:
        path, mode = self._find(relative, text)
        if not stat.S_ISDIR(mode):
            raise RefusedError(f"'{text}' does not exist", f"'{relative}' is a file")
        return path

    def _missing(self, relative: str, text: str) -> RefusedError:
        link = Path(self._root, relative)
        if link.is_symlink():
            return RefusedError(f"'{text}' is a link to nothing", f"it names '{link.readlink()}'")
        tried = "" if relative == posixpath.normpath(text) else f": there is no '{relative}'"
        return RefusedError(f"'{text}' does not exist{tried}")
