"""A measurement as values. Sizes are bytes and never just "size"; what was not measured is None,
never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from slimbake.console.tables import megabytes

SIZE_HEADINGS = (
    "image",
    "digest",
    "uncompressed",
    "compressed",
    "shared",
    "own",
    "own on a registry",
)


@dataclass(frozen=True, slots=True)
class MeasuredLayer:
    diff: str  # digest of the uncompressed tar: what hosts go by, as a chain
    blob: str  # digest of the tar as stored: what registries go by
    uncompressed: int  # bytes of the regular files in it
    compressed: int | None  # bytes of the blob; None where the store holds it uncompressed
    files: int


@dataclass(frozen=True, slots=True)
class Image:
    name: str
    digest: str
    layers: tuple[MeasuredLayer, ...]  # bottom first

    @property
    def uncompressed(self) -> int:
        """The sum of the layers' diffs."""
        return sum(layer.uncompressed for layer in self.layers)

    @property
    def compressed(self) -> int | None:
        """As pushed; None if any layer is unmeasured."""
        return total(layer.compressed for layer in self.layers)

    @property
    def chains(self) -> dict[str, MeasuredLayer]:
        """The layers by what a host knows them by: their own digest and those of all below."""
        layers = {}
        chain = ""
        for layer in self.layers:
            chain = f"{chain} {layer.diff}"
            layers[chain] = layer
        return layers


@dataclass(frozen=True)
class Measurement:
    images: tuple[Image, ...]

    @cached_property
    def _chains(self) -> Counter[str]:
        """How many images stand on each chain of layers."""
        counts = Counter[str]()
        for image in self.images:
            counts.update(image.chains.keys())
        return counts

    @cached_property
    def _blobs(self) -> Counter[str]:
        """How many images have each blob."""
        counts = Counter[str]()
        for image in self.images:
            counts.update({layer.blob for layer in image.layers})
        return counts

    def shared(self, image: Image) -> int:
        """Uncompressed bytes of the layers that another image stands on too.

        These are the same from the bottom up.
        """
        shared = 0
        for chain, layer in image.chains.items():
            if self._chains[chain] > 1:
                shared += layer.uncompressed
        return shared

    def own_on_registry(self, image: Image) -> int | None:
        """Bytes of the blobs that no other image has."""
        sizes = {}
        for layer in image.layers:
            if self._blobs[layer.blob] == 1:
                sizes[layer.blob] = layer.compressed
        return total(sizes.values())

    @property
    def registry(self) -> int | None:
        """Bytes on a registry: each distinct blob once."""
        sizes: dict[str, int | None] = {}
        for image in self.images:
            sizes |= {layer.blob: layer.compressed for layer in image.layers}
        return total(sizes.values())

    @property
    def host(self) -> int:
        """Bytes on a host: each distinct chain of layers once."""
        distinct: dict[str, MeasuredLayer] = {}
        for image in self.images:
            distinct |= image.chains
        return sum(layer.uncompressed for layer in distinct.values())

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes; null where unmeasured."""
        images = {}
        for image in self.images:
            images[image.name] = {
                "digest": image.digest,
                "uncompressed": image.uncompressed,
                "compressed": image.compressed,
                "shared_uncompressed": self.shared(image),
                "own_on_registry": self.own_on_registry(image),
                "layers": [asdict(layer) for layer in image.layers],
            }
        return {
            "images": images,
            "unique_on_registry": self.registry,
            "unique_on_host": self.host,
        }


def total(values: Iterable[int | None]) -> int | None:
    """The sum; None if any value is unmeasured."""
    figures = 0
    for value in values:
        if value is None:
            return None
        figures += value
    return figures


def short(digest: str) -> str:
    """A digest as people read it."""
    return digest.removeprefix("sha256:")[:12]


_OF_SEVERAL = 4  # the first of the columns that compare images

SizeTable = tuple[tuple[str, ...], list[tuple[str, ...]]]


def size_table(measurement: Measurement) -> SizeTable:
    """Headings, and a row per image; shared and own bytes are uncompressed, by chain; those on a
    registry compressed, by blob. Of one image nothing is compared.
    """
    rows: list[tuple[str, ...]] = []
    for image in measurement.images:
        shared = measurement.shared(image)
        rows.append(
            (
                image.name,
                short(image.digest),
                megabytes(image.uncompressed),
                megabytes(image.compressed),
                megabytes(shared),
                megabytes(image.uncompressed - shared),
                megabytes(measurement.own_on_registry(image)),
            )
        )
    if len(rows) == 1:
        return SIZE_HEADINGS[:_OF_SEVERAL], [row[:_OF_SEVERAL] for row in rows]
    return SIZE_HEADINGS, rows


def size_summary(measurement: Measurement) -> str:
    """What the images are together, each layer once."""
    alone = sum(image.uncompressed for image in measurement.images)
    pushed = total(image.compressed for image in measurement.images)
    return (
        f"together:   {megabytes(measurement.host)} on a host,"
        f" {megabytes(measurement.registry)} on a registry\n"
        f"each alone: {megabytes(alone)} on a host, {megabytes(pushed)} on a registry"
    )
