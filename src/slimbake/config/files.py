"""Paths that a manifest names: kept inside its folder, links followed, and read."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from slimbake.config.document import Position
from slimbake.config.report import RefusedError
from slimbake.errors import ManifestError, Problem
from slimbake.host.dockerignore import Ignore, Matched

# What YAML does not count as printable; libyaml refuses it too, but without a line and column.
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")


def yaml_text(path: Path) -> str:
    """The text of a YAML file; ManifestError when it has none."""
    try:
        text = decoded(_bytes(path))
    except RefusedError as error:
        raise unreadable(path, error.message, error.hint, error.place) from error
    except FileNotFoundError as error:
        hint = "go to its folder, or name the file; `slimbake init` writes one for a repository"
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
        if relative == ".":
            return relative
        _, mode = self._find(relative, text)
        if not stat.S_ISDIR(mode):
            raise RefusedError(f"'{text}' is a file, and a folder is wanted")
        return relative

    def file(self, text: str, within: str = "") -> str:
        """The file `text`, written relative to `within`; RefusedError when the repository has none."""
        relative = self.inside(text, within)
        if relative == ".":
            raise RefusedError(f"'{text}' is a folder, and a file is wanted")
        _, mode = self._find(relative, text)
        if stat.S_ISDIR(mode):
            raise RefusedError(f"'{text}' is a folder, and a file is wanted")
        if not stat.S_ISREG(mode):
            raise RefusedError(f"'{text}' is no regular file")
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

    def sends(self, context: str, ignore: Sequence[str], below: str) -> bool:
        """Whether a build that is sent a folder which `folder` gave gets files at or below a path in
        it. Those whose names begin with a dot do not count: images have none.
        """
        try:
            patterns = Ignore("\n".join(ignore))
        except ValueError:  # a bake reports it
            patterns = Ignore("")
        sent = sent_files(f"{self._root}/{context}", patterns, below)
        return any("/." not in f"/{each}" for each in sent)

    def folders(self, pattern: str) -> list[str]:
        """The folders that a glob pattern matches, sorted; RefusedError when it points out of the
        repository.
        """
        matches = (each for each in Path(self._root).glob(self.inside(pattern)) if each.is_dir())
        return sorted(each.relative_to(self._root).as_posix() for each in matches)

    def files(self, folder: str) -> frozenset[str]:
        """The files in and below a folder that `folder` gave, relative to it."""
        root = Path(self._root, folder)
        paths = (path for path in root.rglob("*") if path.is_file())
        return frozenset(path.relative_to(root).as_posix() for path in paths)

    def read(self, relative: str) -> str:
        """The text of a file that `file` gave; RefusedError when it is not UTF-8 or cannot be read."""
        try:
            # No Path: a fleet has tens of thousands of files.
            with open(self._find(relative, relative)[0], "rb") as file:  # noqa: PTH123
                return decoded(file.read())
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
        name = posixpath.basename(relative)
        link = Path(self._root, relative)
        if link.is_symlink():
            return RefusedError(f"'{text}' is a link to nothing", f"it names '{link.readlink()}'")
        try:
            siblings = [each.name for each in link.parent.iterdir()]
        except OSError:
            siblings = []
        close = get_close_matches(name, sorted(siblings), n=1)
        near = text[: len(text) - len(name)] + close[0] if close and text.endswith(name) else ""
        tried = "" if relative == posixpath.normpath(text) else f": there is no '{relative}'"
        return RefusedError(
            f"'{text}' does not exist{tried}", f"did you mean '{near}'?" if near else ""
        )


def sent_files(context: str, ignore: Ignore, below: str = ".") -> Iterator[str]:
    """The files of a build context that are sent, at or below a path: relative to the context, with
    '/', in an order of their own. Links to files count.
    """
    above: Matched = ()
    out = False
    names = [] if below == "." else below.split("/")
    for end in range(1, len(names) + 1):
        out, above = ignore("/".join(names[:end]), above)
        if out and not ignore.exceptions:
            return
    path = os.path.join(context, *names)  # noqa: PTH118 - the same kind of path as the context
    if os.path.isdir(path):  # noqa: PTH112
        yield from _sent(path, "".join(f"{each}/" for each in names), ignore, above)
    elif os.path.lexists(path) and not out:
        yield below


def _sent(folder: str, below: str, ignore: Ignore, above: Matched) -> Iterator[str]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        path = below + entry.name
        out, matched = ignore(path, above)
        if entry.is_dir(follow_symlinks=False):
            if not out or ignore.exceptions:
                yield from _sent(entry.path, f"{path}/", ignore, matched)
        elif not out and entry.is_file():
            yield path
