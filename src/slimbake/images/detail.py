"""A measurement in all detail, as values: what is in each layer. Bytes; what was not measured is
None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slimbake.images.owners import Owner
from slimbake.images.sizes import Measurement


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one owner below one top directory."""

    directory: str  # "/usr"
    owner: Owner
    uncompressed: int
    files: int
    gzip: int | None = None  # bytes as tars of their own, one for each unbroken run in the layer
    zstd: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    path: str
    uncompressed: int
    digest: str


@dataclass(frozen=True, slots=True)
class Contents:
    """A layer by its content alone."""

    uncompressed: int  # bytes of the regular files
    files: int
    whiteouts: tuple[str, ...]
    parts: tuple[Part, ...]
    large: tuple[File, ...]  # those over 4 kB, in tar order
    gzip: int | None = None  # bytes of the whole tar
    zstd: int | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Contents:
        """From what `as_json` gave. Raises KeyError and TypeError for anything else."""
        parts = tuple(Part(**{**part, "owner": Owner(**part["owner"])}) for part in found["parts"])
        large = tuple(File(**file) for file in found["large"])
        return cls(
            **{**found, "whiteouts": tuple(found["whiteouts"]), "parts": parts, "large": large}
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """What a fleet cannot go below, and what its layers are; all by one compressor at one level
    (zstd 3).
    """

    files: int  # distinct contents
    uncompressed: int  # of distinct contents: the bound of a host
    compressed: int  # of one tar of them: the bound of a registry
    layers: int  # of each distinct layer's tar by itself


@dataclass(frozen=True, slots=True)
class Survey:
    """A measurement, and what is in each layer, by the digest of its tar."""

    measurement: Measurement
    contents: Mapping[str, Contents]
    bound: Bound | None = None
