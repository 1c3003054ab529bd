"""Spend the layers that a tree leaves free: cut what its nodes hold so that equal parts are one blob,
and what is heavy changes alone. Pure.
"""

from __future__ import annotations

import heapq
from collections import defaultdict

from slimbake.fleet.layering.cost import PULLED
from slimbake.fleet.layering.model import Demand, Group
from slimbake.fleet.layering.tree import Node


class Cutter:
    """The layers of a tree while they are cut: the cut that saves most is made first, at all nodes
    that have a layer to spare, until none saves enough.
    """

    def __init__(self, fleet: Demand, root: Node, limit: int, worth: int) -> None:
        """`worth`: the bytes that a registry or pulls must save for one layer more."""
        self._fleet, self._limit, self._worth = fleet, limit, worth
        self._where: defaultdict[Group, dict[Node, None]] = defaultdict(dict)  # layer -> its nodes
        self._holding: defaultdict[str, dict[Group, None]] = defaultdict(dict)  # item -> layers
        self._prices: dict[Group, float] = {}
        for node in root.nodes():
            for layer in node.layers:
                self._put(layer, node)
        self._items = len(self._holding) or 1

    def run(self) -> None:
        """Make all cuts that are worth it."""
        heap = [(-self._gain(cut)[0], sorted(cut)) for cut in self._candidates()]
        heapq.heapify(heap)
        while heap:
            _, keys = heapq.heappop(heap)
            cut = frozenset(keys)
            gain, places = self._gain(cut)
            if gain < self._worth:
                continue
            if heap and gain < -heap[0][0]:
                heapq.heappush(heap, (-gain, keys))
                continue
            for piece in self._cut(cut, places):
                if piece in self._where and (heavy := self._heavy(piece)):
                    heapq.heappush(heap, (-self._gain(heavy)[0], sorted(heavy)))

    def _candidates(self) -> set[Group]:
        """What might be worth a layer of its own: items that lie in the same several layers, and the
        heavy end of each layer.
        """
        several = {key: layers for key, layers in self._holding.items() if len(layers) > 1}
        together: defaultdict[tuple[Group, ...], set[str]] = defaultdict(set)
        for key, layers in several.items():
            together[tuple(layers)].add(key)
        groups = {frozenset(keys) for keys in together.values()} | {frozenset({k}) for k in several}
        return groups | {heavy for layer in self._where if (heavy := self._heavy(layer))}

    def _price(self, layer: Group) -> float:
        if layer not in self._prices:
            size = self._fleet.registry(layer)
            self._prices[layer] = size * (1 + PULLED * len(layer) / self._items)
        return self._prices[layer]

    def _heavy(self, layer: Group) -> Group:
        """The heaviest items of a layer, as many as are best apart from the others; none where it is
        best whole, or one service's own.
        """
        if all(node.service for node in self._where[layer]):
            return frozenset()
        sizes = {key: self._fleet.by_key[key].registry for key in layer}
        order = sorted(layer, key=lambda key: (-sizes[key], key))
        total, heavy, best, count = sum(sizes.values()), 0, self._price(layer), 0
        for at, key in enumerate(order[:-1], 1):
            heavy += sizes[key]
            pulled = heavy * at + (total - heavy) * (len(order) - at)
            value = total + PULLED * pulled / self._items
            if value < best:
                best, count = value, at
        return frozenset(order[:count])

    def _gain(self, cut: Group) -> tuple[float, list[tuple[Node, Group]]]:
        """What it saves to give these items layers of their own wherever there is room; and where."""
        gain = 0.0 if cut in self._where else -self._price(cut)
        places: list[tuple[Node, Group]] = []
        for layer in self._holding[min(cut)]:
            nodes = [n for n in self._where[layer] if cut < layer and n.most() < self._limit]
            if nodes:
                gain += self._price(layer) if len(nodes) == len(self._where[layer]) else 0
                gain -= 0 if layer - cut in self._where else self._price(layer - cut)
                places += [(node, layer) for node in nodes]
        return (gain, places) if places else (0.0, [])

    def _cut(self, cut: Group, places: list[tuple[Node, Group]]) -> dict[Group, None]:
        """Make a cut; the pieces, which may be worth cutting now."""
        pieces = {cut: None}
        for node, layer in places:
            if node.most() < self._limit:
                at = node.layers.index(layer)
                node.layers[at : at + 1] = [cut, layer - cut]
                node.measure()
                del self._where[layer][node]
                if not self._where[layer]:
                    del self._where[layer]
                    for key in layer:
                        del self._holding[key][layer]
                self._put(cut, node)
                self._put(layer - cut, node)
                pieces[layer - cut] = None
        return pieces

    def _put(self, layer: Group, node: Node) -> None:
        if layer not in self._where:
            for key in layer:
                self._holding[key][layer] = None
        self._where[layer][node] = None
