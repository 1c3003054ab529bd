"""How far an input has been dealt with, kept in a file so that the next run goes on from there."""

import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20  # bytes


class CheckpointError(ValueError):
    """The checkpoint cannot be used; the text says why and what to do."""


class Cursor:
    """Counts the bytes, lines and bad lines of an input, and digests it to know it again."""

    def __init__(self) -> None:
        self.bytes = 0
        self.lines = 0
        self.bad = 0
        self._digest = hashlib.sha256()

    def advance(self, line: bytes) -> None:
        """Go past one line."""
        self.bytes += len(line)
        self.lines += 1
        self._digest.update(line)

    def save(self, path: Path) -> None:
        """Write the checkpoint; a crash leaves either the old one or the new one, both whole."""
        state = {
            "bytes": self.bytes,
            "lines": self.lines,
            "bad": self.bad,
            "sha256": self._digest.hexdigest(),
        }
        beside = path.with_name(path.name + ".new")
        with beside.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    @classmethod
    def resume(cls, path: Path, source: BinaryIO) -> "Cursor":
        """Read past what an earlier run dealt with; an input that no longer begins so is started
        anew.

        A file that has grown since is gone on with. Raises CheckpointError when `path` is no
        checkpoint, or is another input's while this one, a pipe, cannot be rewound.
        """
        cursor = cls()
        if not path.exists():
            return cursor
        try:
            state = json.loads(path.read_bytes())
            cursor.bytes, cursor.lines, cursor.bad = (
                int(state[key]) for key in ("bytes", "lines", "bad")
            )
            digest = state["sha256"]
        except (ValueError, KeyError, TypeError):
            raise CheckpointError(
                f"{path} is no checkpoint of this job; remove it or name another"
            ) from None
        left = cursor.bytes
        while left and (chunk := source.read(min(left, CHUNK))):
            cursor._digest.update(chunk)
            left -= len(chunk)
        if not left and cursor._digest.hexdigest() == digest:
            return cursor
        if not source.seekable():
            raise CheckpointError(f"{path} belongs to another input; remove it or name another")
        source.seek(0)
        return cls()
