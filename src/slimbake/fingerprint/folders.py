"""Folders of the repository as a build is sent them: what of them is sent, with Git's modes, and
one digest for all.
"""

from __future__ import annotations

import hashlib
import operator
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from slimbake.fingerprint.hashes import Hashes
from slimbake.fingerprint.ignore import Ignore, Matched
from slimbake.fingerprint.model import Parts

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


_Entry = tuple[str, str, os.stat_result]
"""Of what lies in a folder: its name, its path on this machine, and what lstat says of it."""


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
            above = (each for each in self._submodules if f"{path}/".startswith(f"{each}/"))
            parts = [(".", f"submodule {self._submodules[each]}") for each in above]
            if not parts:
                self._collect(parts, os.path.normpath(f"{self._root}/{path}"), "", ignore, ())
            text = "".join(f"{name}\0{what}\0" for name, what in parts)
            whole = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
            unknown = [_CHECKOUT] if _CHECKOUT in text and _HOLDS_CHECKOUT.search(text) else []
            if path == "." and any(name.startswith(f"{_OWN}/") for name, _ in parts):
                unknown.append(_OWN)
            self._known[key] = Folder(f"sha256:{whole}", tuple(parts), tuple(unknown))
        return self._known[key]

    def _collect(
        self, parts: list[tuple[str, str]], folder: str, below: str, ignore: Ignore, above: Matched
    ) -> None:
        """Add path and content of what is sent; a folder only where nothing in it is, since Git has
        none of those.
        """
        contents, plain = self._contents, ignore.plain
        within = -1  # the folder, open as soon as something in it is read
        try:
            for name, here, found in self._entries(folder):
                path = below + name
                out, matched = (plain(path) is not None, ()) if plain else ignore(path, above)
                if not stat.S_ISDIR(found.st_mode):
                    if out:
                        continue
                    if here not in contents:
                        within = (
                            os.open(folder, os.O_RDONLY | os.O_CLOEXEC) if within < 0 else within
                        )
                        contents[here] = self._content(here, found, name, within)
                    if what := contents[here]:
                        parts.append((path, what))
                elif not out or ignore.exceptions:
                    self._folder(parts, here, path, out, ignore, matched)
        finally:
            if within >= 0:
                os.close(within)

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
            with os.scandir(folder) as found:
                listed = [
                    (each.name, each.path, each.stat(follow_symlinks=False)) for each in found
                ]
            self._listed[folder] = sorted(listed, key=operator.itemgetter(0))
        return self._listed[folder]

    def _content(self, path: str, found: os.stat_result, name: str, within: int) -> str:
        """What a file or link comes to; "" for what is never sent."""
        mode = found.st_mode
        if stat.S_ISREG(mode):
            # Git knows one bit of a file's mode.
            return (
                f"{'program' if mode & stat.S_IXUSR else 'file'}"
                f" {self._hashes(path, found, name, within)}"
            )
        if stat.S_ISLNK(mode):
            return f"link {os.readlink(path)}"  # noqa: PTH115 - its bytes, not a path made of them
        return "" if stat.S_ISSOCK(mode) else "special"
