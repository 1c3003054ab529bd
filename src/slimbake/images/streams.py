"""What a layer holds, read once from its beginning to its end and never as a whole."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import sys
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from slimbake.errors import SetupError
from slimbake.images.layout import Blobs
from slimbake.images.model import StoredLayer

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

CHUNK = 1 << 20


def plain(stored: Any) -> Any:
    """The uncompressed stream of a blob, whichever way it is compressed."""
    reader = (
        stored if hasattr(stored, "peek") else io.BufferedReader(cast(io.RawIOBase, stored), CHUNK)
    )
    head = reader.peek(4)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return zstd.ZstdFile(reader)
    return gzip.GzipFile(fileobj=reader) if head.startswith(b"\x1f\x8b") else reader


class Tee:
    """A stream that hands all that is read of it to others as well."""

    def __init__(self, stream: Any, *takers: Any) -> None:
        self._stream, self._takers = stream, takers

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._stream.read(size)
        for taker in self._takers:
            taker(piece)
        return piece


@contextlib.contextmanager
def layer(blobs: Blobs, stored: StoredLayer) -> Iterator[Tee]:
    """The uncompressed tar of a layer; raises SetupError where it cannot be read or is not what its
    image names.
    """
    found = hashlib.sha256()
    try:
        with blobs.open(stored.blob) as blob:
            tar = Tee(plain(blob), found.update)
            yield tar
            while tar.read(CHUNK):
                pass
    except (zstd.ZstdError, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise SetupError(f"the layer {stored.blob} cannot be read: {error}") from None
    if f"sha256:{found.hexdigest()}" != stored.diff:
        raise SetupError(
            f"the layer {stored.blob} holds other content than its image names",
            f"expected {stored.diff}",
        )


def members(tar: Any) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members of a tar stream in their order, each regular file with its content, to be read
    before the next.
    """
    with tarfile.open(fileobj=tar, mode="r|", bufsize=CHUNK) as archive:
        while member := archive.next():
            archive.members = []  # type: ignore[attr-defined]  # a layer of torch has 30,000 of them: nobody asks twice
            yield member, archive.extractfile(member) if member.isreg() else None


def chunks(content: IO[bytes]) -> Iterator[bytes]:
    """A file's content, a piece at a time."""
    while piece := content.read(CHUNK):
        yield piece
