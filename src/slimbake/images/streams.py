"""What a layer holds, read once from its beginning to its end and never as a whole."""

from __future__ import annotations

import gzip
import hashlib
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any, Self

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

CHUNK = 1 << 20
KEPT = 128 << 20  # bytes of what is kept in memory of a layer; of one with torch it is 8 MB
ROW = 64  # bytes, at least: a file's, or a line's of a RECORD
_LONGEST = 1 << 20  # bytes of a name, a link or attributes, as Docker's engine takes them
_WHOLE = b"LKxgX"  # types of what tarfile reads as a whole, before it gives a member


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


class _Header(tarfile.TarInfo):
    """A member's header. Raises ReadError for one that no engine unpacks: a few compressed bytes of
    it may claim any memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _WHOLE and header.size > _LONGEST:
            raise tarfile.ReadError(f"a name or its attributes have {header.size:,} bytes")
        return header

    def _proc_gnusparse_10(self, *_: Any) -> None:
        raise tarfile.ReadError("it has a sparse file")


def members(tar: Any) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members of a tar stream in their order, each regular file with its content, to be read
    before the next. Raises TarError.
    """
    with tarfile.open(fileobj=tar, mode="r|", bufsize=CHUNK, tarinfo=_Header) as archive:
        while member := archive.next():
            archive.members = []  # type: ignore[attr-defined]  # a layer of torch has 30,000 of them: nobody asks twice
            if member.issparse():
                raise tarfile.ReadError("it has a sparse file")
            yield member, archive.extractfile(member) if member.isreg() else None
