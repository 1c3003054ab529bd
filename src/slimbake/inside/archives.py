"""Opens ZIP archives that others made, whose directories may be too large to read."""

from __future__ import annotations

import contextlib
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Bytes of a directory: 150,000 files with names of 60 letters. torch's has 1 MB.
LARGEST = 16 << 20


class _Bounded(io.FileIO):
    """A file that refuses to read more bytes at once than `limit`."""

    limit = LARGEST

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.limit:
            raise zipfile.BadZipFile(f"its directory has {size:,} bytes, more than {self.limit:,}")
        return super().read(size) or b""


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive to read. `zipfile` reads a directory at once, and takes ten times its memory.

    Raises OSError, and zipfile.BadZipFile for what is no archive or has a directory of more than
    LARGEST bytes.
    """
    with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
        file.limit = sys.maxsize  # members may be larger
        yield archive
