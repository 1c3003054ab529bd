"""The hashes of large files, kept from run to run: weights need not be read for every bake that has
nothing to do.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from slimbake.host.workspace import Workspace

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

    def __call__(
        self, path: str, found: os.stat_result, name: str = "", within: int | None = None
    ) -> str:
        """The SHA-256 of a regular file, in hex. `found`: what lstat says of it. Raises OSError.

        `name`, `within`: the same file in a folder that is open, which the kernel finds in less
        time.
        """
        seen = _seen(found)
        if found.st_size >= LARGE and (before := self._known.get(path)) and before[0] == seen:
            self._kept[path] = before
            return before[1]
        now = time.time_ns()
        handle = os.open(name or path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
        try:
            if found.st_size < LARGE:
                # A buffer of just that size: a larger one costs more than reading does.
                data = os.read(handle, found.st_size + 1)
                if len(data) <= found.st_size:
                    return hashlib.sha256(data).hexdigest()
                os.lseek(handle, 0, os.SEEK_SET)  # it has grown meanwhile
            with os.fdopen(handle, "rb", closefd=False) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            same = _seen(os.fstat(handle)) == seen
        finally:
            os.close(handle)
        if same and max(found.st_mtime_ns, found.st_ctime_ns) + _SETTLED < now:
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

    def _parsed(self, said: Any) -> dict[str, tuple[_Seen, str]]:
        return {
            self._root + path: ((int(a), int(b), int(c), int(d)), str(e))
            for path, (a, b, c, d, e) in said.items()
        }


def _seen(found: os.stat_result) -> _Seen:
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
