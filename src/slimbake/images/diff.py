"""Compares two images: which file is the first to differ, and how; for finding out why a build is
not reproducible.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from collections.abc import Iterator
from itertools import zip_longest
from typing import IO

from slimbake.errors import UsageError
from slimbake.images import Source, opened, streams
from slimbake.images.difference import (
    MISSING,
    Diff,
    Difference,
    Entry,
    LayerDifference,
    configurations,
    manifests,
)
from slimbake.images.layout import Blobs, read_layout
from slimbake.images.model import StoredImage, StoredLayer, address

_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}
_XATTR = "SCHILY.xattr."


def diff(a: str, b: str, platform: str) -> Diff:
    """Compare two images, each by its address: layer by layer, in tar order, then configurations
    and manifests.

    A layer is read only if the digests of its tars differ; both are then read side by side, and of
    each only what the other has not had yet is kept, as digests. Raises UsageError where an address
    is not that of one image, and SetupError where a layer cannot be read.
    """
    with opened(address(a), platform) as one, opened(address(b), platform) as other:
        x, y = _single(one, a), _single(other, b)
        digests = (x.manifest, y.manifest)
        if x.manifest == y.manifest:
            return Diff(a, b, digests)
        pairs = tuple(enumerate(zip_longest(x.layers, y.layers), 1))
        return Diff(
            a,
            b,
            digests,
            layers=tuple(
                _layer(number, mine, one.blobs, theirs, other.blobs)
                for number, (mine, theirs) in pairs
                if mine is None or theirs is None or mine.diff != theirs.diff
            ),
            configuration=configurations(
                read_layout(one.blobs, x.config), read_layout(other.blobs, y.config)
            ),
            manifest=manifests(
                read_layout(one.blobs, x.manifest), read_layout(other.blobs, y.manifest)
            ),
            stored=tuple(
                n for n, (p, q) in pairs if p and q and p.diff == q.diff and p.blob != q.blob
            ),
        )


def _single(source: Source, text: str) -> StoredImage:
    if len(source.images) == 1:
        return source.images[0]
    names = ", ".join(sorted(image.name for image in source.images))
    raise UsageError(
        f"{text} holds {len(source.images)} images: {names}",
        "name one of them: oci-layout://PATH:NAME",
    )


def _layer(
    number: int, a: StoredLayer | None, a_blobs: Blobs, b: StoredLayer | None, b_blobs: Blobs
) -> LayerDifference:
    with _entries(a, a_blobs) as from_a, _entries(b, b_blobs) as from_b:
        first, paths = _compared(from_a, from_b)
    return LayerDifference(number, a.diff if a else "", b.diff if b else "", first, paths)


def _compared(
    from_a: Iterator[Entry], from_b: Iterator[Entry]
) -> tuple[tuple[Difference, ...], int]:
    """In which ways the first path that differs does so, and how many paths do."""
    # of each side, what the other has not had yet
    ahead: tuple[dict[str, Entry], dict[str, Entry]] = ({}, {})
    place: dict[str, int] = {}
    found: dict[str, tuple[Difference, ...]] = {}
    for number, pair in enumerate(zip_longest(from_a, from_b)):
        for side, entry in enumerate(pair):
            if entry is None:
                continue
            place.setdefault(entry.path, number)
            theirs = ahead[1 - side].pop(entry.path, None)
            if theirs is None:
                ahead[side][entry.path] = entry
            elif ways := (entry.differs(theirs) if side == 0 else theirs.differs(entry)):
                found[entry.path] = ways
    found |= {
        path: (Difference(path, "only in A", entry.type, MISSING),)
        for path, entry in ahead[0].items()
    }
    found |= {
        path: (Difference(path, "only in B", MISSING, entry.type),)
        for path, entry in ahead[1].items()
    }
    first = min(found, key=place.__getitem__, default="")
    return found.get(first, ()), len(found)


@contextlib.contextmanager
def _entries(layer: StoredLayer | None, blobs: Blobs) -> Iterator[Iterator[Entry]]:
    if layer is None:
        yield iter(())
        return
    with streams.layer(blobs, layer) as tar:
        yield (_entry(member, content) for member, content in streams.members(tar))


def _entry(member: tarfile.TarInfo, content: IO[bytes] | None) -> Entry:
    digest = hashlib.sha256()
    for piece in streams.chunks(content) if content else ():
        digest.update(piece)
    names = f" ({member.uname}:{member.gname})" if member.uname or member.gname else ""
    return Entry(
        path=member.name.removeprefix("./").lstrip("/") or ".",
        type=_TYPES.get(member.type, "special"),
        mode=member.mode,
        owner=f"{member.uid}:{member.gid}{names}",
        mtime=member.pax_headers.get("mtime", str(member.mtime)),
        link=member.linkname,
        content=f"sha256:{digest.hexdigest()}" if content else "",
        bytes=member.size,
        extended=tuple(
            sorted((k, v) for k, v in member.pax_headers.items() if k.startswith(_XATTR))
        ),
    )
