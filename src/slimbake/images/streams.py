"""What a layer holds, read once from its beginning to its end and never as a whole."""

from __future__ import annotations

import gzip
import hashlib
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

CHUNK = 1 << 20


def plain(stored: Any) -> Any:
    """The uncompressed stream of a blob, which `stored`, a buffered reader, has compressed or not."""
    head = stored.peek(4)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return zstd.ZstdFile(stored)
    return gzip.GzipFile(fileobj=stored) if head.startswith(b"\x1f\x8b") else stored


class Digested:
    """A stream, and the digest of all that was read of it."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._stream.read(size)
        self._digest.update(piece)
        return piece

    def digest(self) -> str:
        """The digest of the whole stream, of which the rest is read."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._digest.hexdigest()}"


def members(tar: Any) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members of a tar stream in their order, each regular file with its content, to be read
    before the next.
    """
    with tarfile.open(fileobj=tar, mode="r|", bufsize=CHUNK) as archive:
        while member := archive.next():
            archive.members = []  # type: ignore[attr-defined]  # a layer of torch has 30,000 of them: nobody asks twice
            yield member, archive.extractfile(member) if member.isreg() else None
