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


@dataclass(frozen=True)
class Measurement:
    images: tuple[Image, ...]

    @cached_property
    def _chains(self) -> Counter[str]:
        return Counter(chain for image in self.images for chain in chains(image))

    @cached_property
    def _blobs(self) -> Counter[str]:
        return Counter(blob for i in self.images for blob in {layer.blob for layer in i.layers})

    def shared(self, image: Image) -> tuple[MeasuredLayer, ...]:
        """The layers that another image stands on too, by chain: identical from the bottom up."""
        return tuple(
            layer
            for layer, chain in zip(image.layers, chains(image), strict=True)
            if self._chains[chain] > 1
        )

    def own_on_registry(self, image: Image) -> int | None:
        """Bytes of the blobs that no other image has."""
        sizes = {
            layer.blob: layer.compressed for layer in image.layers if self._blobs[layer.blob] == 1
        }
        return total(sizes.values())

    @property
    def registry(self) -> int | None:
        """Bytes on a registry: each distinct blob once."""
        return total(
            layer.compressed
            for layer in {
                layer.blob: layer for image in self.images for layer in image.layers
            }.values()
        )

    @property
    def host(self) -> int:
        """Bytes on a host: each distinct chain of layers once."""
        distinct = {
            chain: layer
            for i in self.images
            for layer, chain in zip(i.layers, chains(i), strict=True)
        }
        return sum(layer.uncompressed for layer in distinct.values())

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes; null where unmeasured."""
        return {
            "images": {
                image.name: {
                    "digest": image.digest,
                    "uncompressed": image.uncompressed,
                    "compressed": image.compressed,
                    "shared_uncompressed": sum(layer.uncompressed for layer in self.shared(image)),
                    "own_on_registry": self.own_on_registry(image),
                    "layers": [asdict(layer) for layer in image.layers],
                }
                for image in self.images
            },
            "unique_on_registry": self.registry,
            "unique_on_host": self.host,
        }


def chains(image: Image) -> list[str]:
    """For each layer, what a host knows it by: its own digest and those of all below it."""
    chains_of_layers, chain = [], ""
    for layer in image.layers:
        chain = f"{chain} {layer.diff}"
        chains_of_layers.append(chain)
    return chains_of_layers


def total(values: Iterable[int | None]) -> int | None:
    """The sum; None if any value is unmeasured."""
    figures = list(values)
    return None if None in figures else sum(value for value in figures if value is not None)


_OF_SEVERAL = 4  # the first of the columns that compare images

SizeTable = tuple[tuple[str, ...], list[tuple[str, ...]]]


def size_table(measurement: Measurement) -> SizeTable:
    """Headings, and a row per image; shared and own bytes are uncompressed, by chain; those on a
    registry compressed, by blob. Of one image nothing is compared.
    """
    rows: list[tuple[str, ...]] = []
    for image in measurement.images:
        shared = sum(layer.uncompressed for layer in measurement.shared(image))
        rows.append(
            (
                image.name,
                image.digest.removeprefix("sha256:")[:12],
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
