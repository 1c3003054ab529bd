"""Paths that a manifest names: kept inside its folder, links followed, and read."""

from __future__ import annotations

import os
import posixpath
import stat
from difflib import get_close_matches
from pathlib import Path

from slimbake.config.report import RefusedError
from slimbake.config.source import decoded, os_reason


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

    def folders(self, pattern: str) -> list[str]:
        """The folders that a glob pattern matches, sorted; RefusedError when it points out of the
        repository.
        """
        matches = (each for each in Path(self._root).glob(self.inside(pattern)) if each.is_dir())
        return sorted(each.relative_to(self._root).as_posix() for each in matches)

    def read(self, relative: str) -> str:
        """The text of a file that `file` gave; RefusedError when it is not UTF-8 or cannot be read."""
        try:
            return decoded(Path(self._find(relative, relative)[0]).read_bytes())
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
        return RefusedError(f"'{text}' does not exist", f"did you mean '{near}'?" if near else "")
