"""Folders of the repository as a build is sent them: what of them is sent, with Git's modes, and
one digest for all.
"""

from __future__ import annotations

import hashlib
import operator
import os
import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slimbake.errors import UsageError
from slimbake.fingerprint.model import Parts
from slimbake.host.dockerignore import Ignore, Matched
from slimbake.host.files import LARGEST_HASHED, kind_of
from slimbake.host.workspace import Workspace

_CHECKOUT = ".git"  # differs in every checkout
_HOLDS_CHECKOUT = re.compile(r"(?:^|[\0/])\.git[\0/]")
_OWN = ".slimbake"  # what slimbake writes beside the manifest, at every bake


@dataclass(frozen=True, slots=True)
class Folder:
    """What of a folder is sent."""

    digest: str
    # path -> kind and content of each file, link and empty folder; undecodable bytes as surrogates
    parts: Parts
    unknown: tuple[str, ...]  # paths that are sent and differ in every checkout


# Of what lies in a folder: its name, its path on this machine, and what lstat says of it.
_Entry = tuple[str, str, os.stat_result]


class Folders:
    """Folders below a root, each read once, whoever asks for it."""

    def __init__(self, root: str, hashes: Hashes, submodules: Mapping[str, str] = {}) -> None:
        """`submodules`: folder -> commit, of those whose files are not there."""
        self._root = root
        self._hashes = hashes
        self._submodules = submodules
        self._listed: dict[str, list[_Entry]] = {}
        self._contents: dict[str, str] = {}
        self._known: dict[tuple[str, object], Folder] = {}

    def __call__(self, path: str, ignore: Ignore) -> Folder:
        """What is sent of a folder, less what is ignored. Raises OSError."""
        path = str(PurePosixPath(path))
        key = path, ignore.key
        if key not in self._known:
            self._known[key] = self._read(path, ignore)
        return self._known[key]

    def _read(self, path: str, ignore: Ignore) -> Folder:
        parts: list[tuple[str, str]] = []
        for submodule, commit in self._submodules.items():
            if f"{path}/".startswith(f"{submodule}/"):
                parts.append((".", f"submodule {commit}"))
        if not parts:
            folder = os.path.normpath(f"{self._root}/{path}")
            try:
                self._collect(parts, folder, "", ignore, ())
            except RecursionError:
                raise UsageError(
                    f"{path} has folders in folders, deeper than a build can read",
                    "name them in .dockerignore",
                ) from None
        text = "".join(f"{name}\0{content}\0" for name, content in parts)
        whole = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        unknown = []
        if _CHECKOUT in text and _HOLDS_CHECKOUT.search(text):
            unknown.append(_CHECKOUT)
        if path == "." and any(name.startswith(f"{_OWN}/") for name, _ in parts):
            unknown.append(_OWN)
        return Folder(f"sha256:{whole}", tuple(parts), tuple(unknown))

    def _collect(
        self, parts: list[tuple[str, str]], folder: str, prefix: str, ignore: Ignore, above: Matched
    ) -> None:
        """Add path and content of what is sent. A folder counts only if nothing in it is sent: Git
        knows no empty folders.
        """
        contents, plain = self._contents, ignore.plain
        for name, here, status in self._entries(folder):
            path = prefix + name
            out, matched = (plain(path) is not None, ()) if plain else ignore(path, above)
            if stat.S_ISDIR(status.st_mode):
                if not out or ignore.exceptions:
                    self._folder(parts, here, path, out, ignore, matched)
            elif not out:
                if here not in contents:
                    contents[here] = self._content(here, status)
                parts.append((path, contents[here]))

    def _folder(
        self,
        parts: list[tuple[str, str]],
        here: str,
        path: str,
        out: bool,
        ignore: Ignore,
        matched: Matched,
    ) -> None:
        if self._submodules and (commit := self._submodules.get(os.path.relpath(here, self._root))):
            if not out:
                parts.append((path, f"submodule {commit}"))
            return
        before = len(parts)
        self._collect(parts, here, f"{path}/", ignore, matched)
        if len(parts) == before and not out:
            parts.append((path, "folder"))

    def _entries(self, folder: str) -> list[_Entry]:
        if folder not in self._listed:
            with os.scandir(folder) as entries:
                listed = [
                    (entry.name, entry.path, entry.stat(follow_symlinks=False)) for entry in entries
                ]
            self._listed[folder] = sorted(listed, key=operator.itemgetter(0))
        return self._listed[folder]

    def _content(self, path: str, status: os.stat_result) -> str:
        """What a file or link comes to. Raises UsageError for what is neither: a build would read a
        device to its end, and leave out a socket.
        """
        mode = status.st_mode
        if stat.S_ISREG(mode):
            if status.st_size > LARGEST_HASHED:
                raise UsageError(
                    f"{os.path.relpath(path, self._root)} has {status.st_size:,} bytes, and lies in a"
                    " build context",
                    "move it out of the folder, or leave it out by a .dockerignore",
                )
            # Git knows one bit of a file's mode.
            kind = "program" if mode & stat.S_IXUSR else "file"
            return f"{kind} {self._hashes(path, status)}"
        if stat.S_ISLNK(mode):
            return f"link {os.readlink(path)}"  # noqa: PTH115 - its bytes, not a path made of them
        raise UsageError(
            f"{os.path.relpath(path, self._root)} is {kind_of(mode)}, and lies in a build context",
            "move it out of the folder, or leave it out by a .dockerignore",
        )


LARGE = 1 << 18  # bytes; below that a file is read in about the time that it takes to look it up
_SETTLED = 2_000_000_000  # nanoseconds: no file system's clock is coarser
HASHES = "hashes"  # in the workspace

_Seen = tuple[int, int, int, int]


class Hashes:
    """Hashes of files, each read once; of large ones, only if they differ from what the workspace
    says of them.

    A record holds for the same path, size, inode, time of content and time of change. As in Git's
    index, a file that changed just before it was read is not recorded: it may change again without
    any of these changing.
    """

    def __init__(self, root: Path, workspace: Workspace) -> None:
        self._root, self._workspace = f"{root}/", workspace
        self._known = workspace.read(HASHES, self._parsed) or {}
        self._kept: dict[str, tuple[_Seen, str]] = {}

    def __call__(self, path: str, status: os.stat_result) -> str:
        """The SHA-256 of a regular file, in hex. `status`: what lstat says of it.

        Raises OSError.
        """
        seen = _seen(status)
        if status.st_size >= LARGE and (before := self._known.get(path)) and before[0] == seen:
            self._kept[path] = before
            return before[1]
        now = time.time_ns()
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            same = status.st_size >= LARGE and _seen(os.fstat(file.fileno())) == seen
        if same and max(status.st_mtime_ns, status.st_ctime_ns) + _SETTLED < now:
            self._kept[path] = seen, digest
        return digest

    def keep(self) -> None:
        """Write the record, if it has changed; where it cannot be written, the next run reads the
        files again.
        """
        if self._kept == self._known:
            return
        files = {
            path.removeprefix(self._root): [*seen, digest]
            for path, (seen, digest) in sorted(self._kept.items())
        }
        self._workspace.write(HASHES, files)

    def _parsed(self, entries: Any) -> dict[str, tuple[_Seen, str]]:
        return {
            self._root + path: ((int(a), int(b), int(c), int(d)), str(e))
            for path, (a, b, c, d, e) in entries.items()
        }


def _seen(status: os.stat_result) -> _Seen:
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
