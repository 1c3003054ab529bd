"""The lower bound: what a fleet would weigh with each distinct file once, in one tar."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from typing import IO

from slimbake.images import streams
from slimbake.images.compressed import Weight
from slimbake.images.contents import clean
from slimbake.images.detail import Bound, Contents
from slimbake.images.layout import Blobs
from slimbake.images.model import StoredLayer

# both sides of the comparison have the same: a stronger one takes five times as long and tells the
# same
LEVEL = 3
_WHOLE = 1 << 22  # bytes; what is larger has to have a digest already, so that it need not be held


def bound(layers: Mapping[StoredLayer, Blobs], contents: Mapping[str, Contents]) -> Bound:
    """Read every distinct layer once more: each layer's tar, and one tar of each content that is
    new, are compressed.

    Raises SetupError where a layer cannot be read.
    """
    everything = Weight("zstd", LEVEL)
    seen: set[bytes] = set()
    uncompressed = apart = 0
    for layer, blobs in layers.items():
        digests = {
            file.path: bytes.fromhex(file.digest.partition(":")[2])
            for file in contents[layer.diff].large
        }
        alone = Weight("zstd", LEVEL)
        with streams.layer(blobs, layer) as tar:
            for member, content in streams.members(streams.Tee(tar, alone.write)):
                if content is None or not member.size:
                    continue
                digest, held = _digest(member, content, digests)
                if digest in seen:
                    continue
                seen.add(digest)
                uncompressed += member.size
                everything.write(member.tobuf())
                if held is None:
                    for piece in streams.chunks(content):
                        everything.write(piece)
                else:
                    everything.write(held)
                everything.write(bytes(-member.size % 512))
        apart += alone.end()
    everything.write(bytes(1024))
    return Bound(len(seen), uncompressed, everything.end(), apart)


def _digest(
    member: tarfile.TarInfo, content: IO[bytes], known: Mapping[str, bytes]
) -> tuple[bytes, bytes | None]:
    """A file's digest, and its content if that had to be read for it."""
    path = clean(member.name)
    if member.size > _WHOLE and path in known:
        return known[path], None
    held = content.read()
    return hashlib.sha256(held).digest(), held
