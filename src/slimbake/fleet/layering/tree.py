"""Trees over images: which of them have their bottom layers in common, and how deep. Pure.

Each inner node stands for what all images above it share. What a tree costs on a host is the sum
over its nodes of what a node adds to its parent; which tree is best is NP-hard to know (it is a
minimal trie with weights), so the images that share most are joined first, again and again.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from slimbake.fleet.layering.model import Demand, Group

_TRIED = 8  # ways to join that are compared at each step: the first is mostly the best
# What is so much lighter than what lies above is not put below it: it changes more often, and each
# change would part a service from all that is heavy.
_HEAVIER = 4

# Items that the same images need go the same way in every tree: they are one class.
Classes = frozenset[int]


@dataclass(eq=False, slots=True)
class Node:
    """Images that share something, or one image."""

    common: Classes  # of all images from here up
    children: list[Node] = field(default_factory=list)
    service: str = ""  # of a leaf
    parent: Node | None = None
    layers: list[Group] = field(default_factory=list)  # what it adds to its parent, bottom first
    heaviest: int = 0  # bytes that are shared here or above
    highest: int = 0  # the most layers of an image from here up

    def measure(self) -> None:
        """Count the layers again, here and on the way to the root."""
        node: Node | None = self
        while node:
            highest = len(node.layers) + max((above.highest for above in node.children), default=0)
            if highest == node.highest:
                return
            node.highest, node = highest, node.parent

    def most(self) -> int:
        """The most layers of an image through here."""
        count, node = self.highest, self.parent
        while node:
            count, node = count + len(node.layers), node.parent
        return count

    def nodes(self) -> Iterator[Node]:
        """It and all above it."""
        yield self
        for child in self.children:
            yield from child.nodes()


def tree(fleet: Demand, depth: int, worth: int) -> Node:
    """The root, on which all stands. `depth`: the most nodes with layers of an image; `worth`: the
    bytes that a host must save for one layer more.
    """
    users: defaultdict[str, list[str]] = defaultdict(list)
    for image in fleet.images:
        for key in image.items:
            users[key].append(image.service)
    alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in sorted(users):
        alike[tuple(users[key])].append(key)
    members = list(alike.values())
    weights = [fleet.host(keys) for keys in members]
    needs: dict[str, set[int]] = {image.service: set() for image in fleet.images}
    for number, services in enumerate(alike):
        for service in services:
            needs[service].add(number)
    leaves = [Node(frozenset(classes), service=name) for name, classes in needs.items()]
    root = Node(frozenset(), _Joining(leaves, frozenset(), weights).run(worth))
    _flatten(root, depth, weights)
    _lay(root, frozenset(), members)
    return root


class _Joining:
    """Nodes that stand on one, while those that share most are joined below a node of their own."""

    def __init__(self, nodes: Iterable[Node], inherited: Classes, weights: list[int]) -> None:
        self._below, self._weights = inherited, weights
        self.nodes = dict.fromkeys(nodes)
        self._having: defaultdict[int, dict[Node, None]] = defaultdict(dict)
        for node in self.nodes:
            self._add(node)

    def _add(self, node: Node) -> None:
        self.nodes[node] = None
        for number in node.common - self._below:
            self._having[number][node] = None

    def run(self, worth: int) -> list[Node]:
        """Join until none share what is worth a layer; the nodes that are left."""
        while tried := self._most():
            best, joined, common = worth, list[Node](), self._below
            for number in tried:
                nodes = self._having[number]
                shared = frozenset.intersection(*(node.common for node in nodes))
                size = self._size(shared)
                for node in [node for node in nodes if node.heaviest > _HEAVIER * size]:
                    del nodes[node]
                if size * (len(nodes) - 1) > best:
                    best, joined, common = size * (len(nodes) - 1), list(nodes), shared
            if not joined:
                for number in tried:
                    del self._having[number]
                continue
            node = Node(common, _Joining(joined, common, self._weights).run(worth))
            node.heaviest = max(self._size(common), *(child.heaviest for child in joined))
            for child in joined:
                del self.nodes[child]
                for number in child.common - self._below:
                    self._having.get(number, {}).pop(child, None)
            self._add(node)
        return list(self.nodes)

    def _most(self) -> list[int]:
        """The classes that save most by themselves."""
        counts = ((self._weights[c] * (len(on) - 1), c) for c, on in self._having.items())
        return [c for saved, c in heapq.nlargest(_TRIED, counts) if saved > 0]

    def _size(self, classes: Classes) -> int:
        return sum(self._weights[c] for c in classes - self._below)


def _flatten(root: Node, depth: int, weights: list[int]) -> None:
    """Take out inner nodes, those first that save least, until no image is higher than `depth`."""
    while True:
        least: tuple[int, Node, Node] | None = None

        def height(node: Node, parent: Node, at: int) -> int:
            nonlocal least
            added = node.common - parent.common
            at += bool(added)
            most = max((height(child, node, at) for child in node.children), default=at)
            saved = sum(weights[c] for c in added) * (len(node.children) - 1)
            if most > depth and node.children and (least is None or saved < least[0]):
                least = saved, node, parent
            return most

        for child in root.children:
            height(child, root, 0)
        if least is None:
            return
        _, node, parent = least
        at = parent.children.index(node)
        parent.children[at : at + 1] = node.children


def _lay(node: Node, inherited: Classes, members: list[list[str]]) -> None:
    """Give each node what it adds as one layer."""
    keys = frozenset(key for number in node.common - inherited for key in members[number])
    node.layers = [keys] if keys else []
    for child in node.children:
        child.parent = node
        _lay(child, node.common, members)
    node.highest = len(node.layers) + max((child.highest for child in node.children), default=0)
