"""Spend the layers that a tree leaves free: cut its nodes so that layers are alike, and what is
heavy changes alone. Pure.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable

from slimbake.fleet.layering.space import Path, Space, bits
from slimbake.fleet.layering.tree import Classes, Ground, Node


class _Place:
    """A node of the tree with its layers."""

    __slots__ = ("above", "below", "highest", "image", "layers")

    def __init__(self, above: _Place | None, layers: list[int], image: int) -> None:
        self.above, self.layers, self.image = above, layers, image
        self.below: list[_Place] = []
        # The most layers of an image through here, from this node up.
        self.highest = 0

    @property
    def most(self) -> int:
        """The most layers of an image through here."""
        count, place = self.highest, self.above
        while place:
            count += len(place.layers)
            place = place.above
        return count

    def measure(self) -> None:
        """Count the layers again, here and below the images' way to the root."""
        place: _Place | None = self
        while place:
            highest = len(place.layers) + max((upper.highest for upper in place.below), default=0)
            if highest == place.highest:
                break
            place.highest = highest
            place = place.above


def split_tree(space: Space, ground: Ground, root: Node) -> list[Path]:
    """The paths of a tree's images, with as many layers as pay.

    What a tree holds at several nodes costs a registry once for each, unless it is there a layer of
    its own; and every change pulls the whole layer. The cut that saves most is made first, at all
    its nodes that have a layer to spare, until none saves anything.
    """
    places: list[_Place] = []
    _settle(space, ground, root, frozenset(), None, places)
    _Cutter(space, places).run()
    paths: dict[int, Path] = {}
    for place in places:
        if place.image >= 0:
            paths[place.image] = _path(place)
    return [paths[image] for image in range(len(space.images))]


def _settle(
    space: Space,
    ground: Ground,
    node: Node,
    above: Classes,
    parent: _Place | None,
    places: list[_Place],
) -> None:
    held = sum(ground.members[number] for number in node.common - above)
    models = [1 << index for index in bits(held & space.weights)]
    rest = held & ~space.weights
    place = _Place(parent, ([rest] if rest else []) + models, node.image)
    places.append(place)
    if parent:
        parent.below.append(place)
    for child in node.children:
        _settle(space, ground, child, node.common, place, places)


def _path(place: _Place | None) -> Path:
    return (*_path(place.above), *place.layers) if place else ()


class _Cutter:
    def __init__(self, space: Space, places: list[_Place]) -> None:
        self.space, self.places = space, places
        # Of each distinct layer, the nodes that hold it.
        self.where: defaultdict[int, list[_Place]] = defaultdict(list)
        # Of each item, the distinct layers that hold it.
        self.holding: defaultdict[int, dict[int, None]] = defaultdict(dict)
        for place in reversed(places):  # what is above has been measured
            place.measure()
        for place in places:
            for layer in place.layers:
                self._put(layer, place)
        self.heap: list[tuple[float, int]] = []

    def run(self) -> None:
        """Make cuts, the best first."""
        for cut in self._candidates(list(self.where)):
            self._offer(cut)
        while self.heap:
            _, cut = heapq.heappop(self.heap)
            now, where = self._gain(cut)
            if now <= 0:
                continue
            if self.heap and now < -self.heap[0][0]:
                heapq.heappush(self.heap, (-now, cut))
                continue
            for piece in self._cut(cut, where):
                self._offer(piece)

    def _offer(self, cut: int) -> None:
        gain, _ = self._gain(cut)
        if gain > 0:
            heapq.heappush(self.heap, (-gain, cut))

    def _candidates(self, layers: Iterable[int]) -> list[int]:
        """What might be worth a layer of its own: items that lie at the same several nodes, and the
        heavy end of each layer.
        """
        nodes: defaultdict[int, int] = defaultdict(int)
        for number, layer in enumerate(layers):
            for item in bits(layer & ~self.space.weights):
                nodes[item] |= 1 << number
        bundles: defaultdict[int, int] = defaultdict(int)
        for item, at in nodes.items():
            bundles[at] |= 1 << item
        found = dict.fromkeys(bundle for at, bundle in bundles.items() if at.bit_count() > 1)
        found |= dict.fromkeys(1 << item for item, at in nodes.items() if at.bit_count() > 1)
        return [*found, *(self._heavy(layer) for layer in layers)]

    def _heavy(self, layer: int) -> int:
        """The part of a layer to cut off so that least is pulled: parts are sorted by bytes for
        each change.
        """
        space = self.space
        order = sorted(
            bits(layer), key=lambda item: -space.registry[item] / (space.rate[item] or 1e-12)
        )
        best, part, taken = float("inf"), 0, 0
        for item in order[:-1]:
            taken |= 1 << item
            value = space.sums(taken)[1] + space.sums(layer ^ taken)[1]
            if value < best:
                best, part = value, taken
        return part

    def _gain(self, cut: int) -> tuple[float, list[tuple[_Place, int]]]:
        """What it saves to give these items layers of their own wherever there is room; and where."""
        if not cut:
            return 0.0, []
        where = [
            (place, layer)
            for layer in self.holding[(cut & -cut).bit_length() - 1]
            if layer & cut == cut and layer != cut
            for place in self.where[layer]
            if place.most < self.space.limits.free
        ]
        gain = 0.0 if cut in self.where else -self.space.sums(cut)[1]
        whole: defaultdict[int, int] = defaultdict(int)
        for _, layer in where:
            whole[layer] += 1
        for layer, count in whole.items():
            rest = layer ^ cut
            if count == len(self.where[layer]):
                gain += self.space.sums(layer)[1]
            if rest not in self.where:
                gain -= self.space.sums(rest)[1]
        return gain, where

    def _cut(self, cut: int, where: list[tuple[_Place, int]]) -> list[int]:
        """Make a cut; what may be worth cutting now."""
        touched: dict[int, None] = {}
        for place, layer in where:
            at = place.layers.index(layer)
            place.layers[at : at + 1] = [cut, layer ^ cut]
            place.measure()
            self.where[layer].remove(place)
            if not self.where[layer]:
                del self.where[layer]
                for item in bits(layer):
                    del self.holding[item][layer]
            self._put(cut, place)
            self._put(layer ^ cut, place)
            touched[layer ^ cut] = None
        return [self._heavy(cut), *(self._heavy(layer) for layer in touched)]

    def _put(self, layer: int, place: _Place) -> None:
        if layer not in self.where:
            for item in bits(layer):
                self.holding[item][layer] = None
        self.where[layer].append(place)
