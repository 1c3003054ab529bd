"""The order of layers in which hosts share most. Pure.

A host stores a layer once for each distinct stack below it, so images share only what they have in
common from the bottom up. The content of layers never depends on their order.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping

CANDIDATES = 8
"""Of the layers that save most, how many are compared: more change no order of bench/sharing.py."""


class _Group:
    """Images with the same layers so far, and what each of them still lacks."""

    def __init__(self, lacking: Mapping[str, set[str]], sizes: Mapping[str, int]) -> None:
        self.lacking, self._sizes = dict(lacking), sizes
        self._images_of: dict[str, list[str]] = {}  # layer -> those that lack it
        for image, layers in self.lacking.items():
            for layer in layers:
                self._images_of.setdefault(layer, []).append(image)

    def next_layer(self) -> str | None:
        """The layer to put below the images that lack it, and not below the others: for which what
        is stored once instead of for each image, less what is then stored for both sides, is most.
        None where they share none.
        """
        savings = []
        for layer, images in self._images_of.items():
            if len(images) > 1:
                savings.append((self._sizes[layer] * (len(images) - 1), layer))
        values = []
        for saved, layer in heapq.nlargest(CANDIDATES, savings):
            values.append((saved - self._parted(layer), saved, layer))
        return max(values)[-1] if values else None

    def _parted(self, layer: str) -> int:
        """The bytes of what is lacking both in images that lack this layer and in others."""
        having = self._images_of[layer]
        if len(having) == len(self.lacking):
            return 0
        counts = Counter[str]()
        for image in having:
            counts.update(self.lacking[image])
        return sum(
            self._sizes[other]
            for other, count in counts.items()
            if count < len(self._images_of[other])
        )

    def split(self, layer: str) -> tuple[_Group, _Group]:
        """The images that lack a layer, which they get, and the others."""
        having = {image: self.lacking[image] - {layer} for image in self._images_of[layer]}
        others = {image: lack for image, lack in self.lacking.items() if image not in having}
        return _Group(having, self._sizes), _Group(others, self._sizes)


def ordered(
    layers_of: Mapping[str, Iterable[str]], sizes: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    """The layers of each image in their order, bottom first.

    `layers_of`: image -> its layers, in any order; `sizes`: layer -> bytes. Of all images, the layer
    by which most is shared comes first; then those that have it and those that have not are ordered
    apart, likewise. What no other image has comes last, the largest first.
    """
    chains: dict[str, list[str]] = {image: [] for image in layers_of}
    lacking = {image: set(layers) for image, layers in layers_of.items()}
    groups = [_Group(lacking, sizes)]
    while groups:
        group = groups.pop()
        layer = group.next_layer()
        if layer is None:
            for image, own in group.lacking.items():
                chains[image] += sorted(own, key=lambda name: (-sizes[name], name))
            continue
        having, others = group.split(layer)
        for image in having.lacking:
            chains[image].append(layer)
        groups += [having, others]
    return {image: tuple(chain) for image, chain in chains.items()}
