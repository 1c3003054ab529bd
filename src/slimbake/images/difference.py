"""How two images differ, as values."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

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
