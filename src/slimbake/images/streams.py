"""What a layer holds, read once from its beginning to its end and never as a whole."""

from __future__ import annotations

import gzip
import hashlib
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any, Self

from slimbake.inside.budget import Budget

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

CHUNK = 1 << 20
_LONGEST = 1 << 20  # bytes of a name, a link or attributes, as Docker's engine takes them
_WHOLE = b"LKxgX"  # types of what tarfile reads as a whole, before it gives a member
_ATTRIBUTES = 100  # that a member may have: tarfile copies those of all members for each
_WINDOW = {
    int(zstd.DecompressionParameter.window_log_max): 25
}  # 32 MB, as much as builders ask for


def plain(stored: Any) -> Any:
    """The uncompressed stream of a blob, which `stored`, a buffered reader, has compressed or not."""
    head = stored.peek(4)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return zstd.ZstdFile(stored, options=_WINDOW)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stored)
    return stored


class Timed:
    """A stream that is read within a budget."""

    def __init__(self, stream: Any, budget: Budget) -> None:
        self._stream, self._budget = stream, budget

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay the next."""
        ahead: bytes = self._stream.peek(size)
        return ahead

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises ExhaustedError."""
        piece: bytes = self._stream.read(size)
        self._budget.read(len(piece))
        return piece


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
            if len(member.pax_headers) > _ATTRIBUTES:
                raise tarfile.ReadError(f"a file has {len(member.pax_headers):,} attributes")
            yield member, archive.extractfile(member) if member.isreg() else None
