"""Compares two images: which file is the first to differ, and how; for finding out why a build is
not reproducible.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import IO, Any

from slimbake.errors import UsageError
from slimbake.images import Source, opened, streams
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


MISSING = "(none)"
How = str  # content, type, mode, owner, mtime, link, xattr, only in A, only in B, order


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer's tar: all that makes its bytes, but for how the tar is written."""

    path: str
    type: str  # file, directory, link, hard link, device, ...
    mode: int
    owner: str  # "0:0", and names where the tar has them
    mtime: str  # seconds since 1970, as the tar has it
    link: str
    content: str  # digest of a regular file's content
    bytes: int
    extended: tuple[tuple[str, str], ...]  # extended attributes

    def differs(self, other: Entry) -> tuple[Difference, ...]:
        """In which ways it differs from another entry of the same path."""
        pairs: dict[How, tuple[str, str]] = {
            "type": (self.type, other.type),
            "content": (
                f"{self.content} ({self.bytes} bytes)",
                f"{other.content} ({other.bytes} bytes)",
            ),
            "mode": (f"{self.mode:04o}", f"{other.mode:04o}"),
            "owner": (self.owner, other.owner),
            "mtime": (_time(self.mtime), _time(other.mtime)),
            "link": (self.link, other.link),
            "extended attributes": (str(dict(self.extended)), str(dict(other.extended))),
        }
        return tuple(Difference(self.path, how, a, b) for how, (a, b) in pairs.items() if a != b)


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a path, or a key of the configuration, differs."""

    path: str
    how: How
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.path}: {self.how}: {self.a} / {self.b}"


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """A layer that is not the same in both: the first path that differs, in tar order, and how many
    do.
    """

    number: int  # from the bottom, beginning with 1
    a: str  # digest of its tar; "" = B has more layers
    b: str
    # all ways in which the first path differs; () = the tars are written differently
    first: tuple[Difference, ...]
    paths: int  # that differ


@dataclass(frozen=True, slots=True)
class Diff:
    a: str
    b: str
    digests: tuple[str, str]  # of the manifests
    layers: tuple[LayerDifference, ...] = ()
    configuration: tuple[Difference, ...] = ()
    manifest: tuple[Difference, ...] = ()  # annotations and media types
    # layers, by number, that hold the same and are compressed differently
    stored: tuple[int, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether both are the same image: they have one manifest."""
        return self.digests[0] == self.digests[1]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "equal": self.equal}


def configurations(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The keys of two image configurations that differ, with both values; layers are compared
    elsewhere.
    """
    return tuple(_differences("", {**a, "rootfs": None}, {**b, "rootfs": None}))


def manifests(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The keys of two manifests that differ, but for the digests and sizes of what they name."""
    return tuple(_differences("", _nameless(a), _nameless(b)))


def _nameless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _nameless(each) for key, each in value.items() if key not in ("digest", "size")
        }
    return [_nameless(each) for each in value] if isinstance(value, list) else value


def _time(mtime: str) -> str:
    """As people read it, and as it is where that says less."""
    seconds = float(mtime)
    try:
        shown = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
    except (ValueError, OverflowError):
        return mtime
    return shown if seconds.is_integer() else f"{shown} ({mtime})"


def _differences(path: str, a: Any, b: Any) -> list[Difference]:
    if a == b:
        return []
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = list(dict.fromkeys((*a, *b)))
        inner = [
            (f"{path}.{key}" if path else key, a.get(key, MISSING), b.get(key, MISSING))
            for key in keys
        ]
    elif (
        isinstance(a, Sequence)
        and isinstance(b, Sequence)
        and not isinstance(a, str)
        and not isinstance(b, str)
    ):
        inner = [
            (f"{path}[{i}]", *pair) for i, pair in enumerate(zip_longest(a, b, fillvalue=MISSING))
        ]
    else:
        return [Difference(path, "value", str(a), str(b))]
    return [found for each in inner for found in _differences(*each)]


_SHOWN = 20  # keys of a configuration; JSON has all


def diff_text(found: Diff) -> str:
    """A line for each way in which two images differ; what A has stands first."""
    if found.equal:
        return f"the same image: {found.digests[0]}"
    lines = [f"A is {found.a}: {found.digests[0]}", f"B is {found.b}: {found.digests[1]}"]
    for layer in found.layers:
        lines += _layer_diff_report(layer)
    lines += [
        f"layer {number}: holds the same in both, and is compressed differently"
        for number in found.stored
    ]
    lines += _keys("configuration", found.configuration)
    lines += _keys("manifest", found.manifest)
    return "\n".join(lines)


def _layer_diff_report(layer: LayerDifference) -> list[str]:
    if not layer.a or not layer.b:
        return [f"layer {layer.number}: only in {'A' if layer.a else 'B'}: {layer.paths} paths"]
    if not layer.first:
        return [
            f"layer {layer.number}: holds the same in both, in another order or another form of tar"
        ]
    more = f", and {layer.paths - 1} more paths differ" if layer.paths > 1 else ""
    lines = [f"layer {layer.number}: the first path that differs is {layer.first[0].path}{more}"]
    return [*lines, *(f"  {each.how}: {each.a} / {each.b}" for each in layer.first)]


def _keys(what: str, found: Sequence[Difference]) -> list[str]:
    lines = [f"{what}: {each.path}: {each.a} / {each.b}" for each in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"{what}: and {len(found) - _SHOWN} more keys (`--json` has all)")
    return lines
