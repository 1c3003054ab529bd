"""A measurement as values. Sizes are bytes and never just "size"; what was not measured is None, never 0."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Layer:
    diff: str  # digest of the uncompressed tar: what hosts go by, as a chain
    blob: str  # digest of the tar as stored: what registries go by
    uncompressed: int  # bytes of the regular files in it
    compressed: int | None  # bytes of the blob; None where the store holds it uncompressed
    files: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Image:
    name: str
    digest: str
    layers: tuple[Layer, ...]  # bottom first

    @property
    def uncompressed(self) -> int:
        """The sum of the layers' diffs."""
        return sum(layer.uncompressed for layer in self.layers)

    @property
    def compressed(self) -> int | None:
        """As pushed; None if any layer is unmeasured."""
        return _sum(layer.compressed for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Measurement:
    images: tuple[Image, ...]

    def shared(self, image: Image) -> tuple[Layer, ...]:
        """The layers that another image stands on too, by chain: identical from the bottom up."""
        users = Counter(chain for each in self.images for chain in _chains(each))
        return tuple(layer for layer, chain in zip(image.layers, _chains(image), strict=True) if users[chain] > 1)

    @property
    def registry(self) -> int | None:
        """Bytes on a registry: each distinct blob once."""
        return _sum(
            layer.compressed
            for layer in {layer.blob: layer for image in self.images for layer in image.layers}.values()
        )

    @property
    def host(self) -> int:
        """Bytes on a host: each distinct chain of layers once."""
        chains = {chain: layer for i in self.images for layer, chain in zip(i.layers, _chains(i), strict=True)}
        return sum(layer.uncompressed for layer in chains.values())

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes; null where unmeasured."""
        return {
            "images": {
                image.name: {
                    "digest": image.digest,
                    "uncompressed": image.uncompressed,
                    "compressed": image.compressed,
                    "shared_uncompressed": sum(layer.uncompressed for layer in self.shared(image)),
                    "layers": [layer.as_json() for layer in image.layers],
                }
                for image in self.images
            },
            "unique_on_registry": self.registry,
            "unique_on_host": self.host,
        }


def _chains(image: Image) -> list[str]:
    chains, chain = [], ""
    for layer in image.layers:
        chain = f"{chain} {layer.diff}"
        chains.append(chain)
    return chains


def _sum(values: Any) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
