"""Trees over images: which of them have their bottom layers in common, and how deep. Pure.

Each inner node stands for a layer that all images below it share, and holds all that these have in
common. What a tree costs on a host is the sum over its nodes of what a node adds to its parent;
which tree is best is NP-hard to know (it is a minimal trie with weights), so two greedy ways are
tried: from the leaves up and from the root down.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from slimbake.fleet.layering.space import Space, bits

# Items that the same images need go the same way in every tree: they are one class.
Classes = frozenset[int]


@dataclass(eq=False, slots=True)
class Node:
    common: Classes
    children: list[Node] = field(default_factory=list)
    image: int = -1  # of a leaf


class Ground:
    """A fleet's classes of items, and what they weigh in a layer that lies in one place."""

    def __init__(self, space: Space, part: float) -> None:
        users: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
        by_item: defaultdict[int, list[int]] = defaultdict(list)
        for image, mask in enumerate(space.images):
            for item in bits(mask):
                by_item[item].append(image)
        for item, images in sorted(by_item.items()):
            users[sum(1 << image for image in images), bool(space.weights >> item & 1)].append(item)
        # The items of each class, as bits.
        self.members = [sum(1 << item for item in items) for items in users.values()]
        # How many layers a class needs by itself: weights lie alone.
        self.models = [len(items) if weights else 0 for (_, weights), items in users.items()]
        self.weight = [
            sum(
                space.host[item] + part * space.prices.registry * space.registry[item]
                for item in items
            )
            for items in users.values()
        ]
        held: list[set[int]] = [set() for _ in space.images]
        for number, (images_of, _) in enumerate(users):
            for image in bits(images_of):
                held[image].add(number)
        self.images = [frozenset(classes) for classes in held]

    def weigh(self, classes: Iterable[int]) -> float:
        return sum(map(self.weight.__getitem__, classes))

    def layers(self, classes: Classes) -> int:
        """How many layers these need at least."""
        models = [self.models[number] for number in classes]
        return sum(models) + (0 in models)

    def leaf(self, image: int) -> Node:
        return Node(self.images[image], image=image)

    def join(self, children: Sequence[Node]) -> Node:
        """A node above these."""
        return Node(frozenset.intersection(*(child.common for child in children)), list(children))


def agglomerate(ground: Ground) -> Node:
    """From the leaves up: join the two that have most in common, again and again.

    Two nodes that are joined store what they have in common once instead of twice, so this takes
    the largest saving first. What two have in common can only shrink when one of them is joined to
    a third: a value in the heap is never too small. O(n^2) intersections of sets for n images, and
    as many again for each stale value that comes to the top.
    """
    alive = {number: ground.leaf(number) for number in range(len(ground.images))}
    heap: list[tuple[float, int, int]] = []

    def find_partner(number: int, among: Iterable[int]) -> None:
        best, partner = -1.0, -1
        mine = alive[number].common
        for other in among:
            value = ground.weigh(mine & alive[other].common)
            if value > best:
                best, partner = value, other
        if partner >= 0:
            heapq.heappush(heap, (-best, number, partner))

    for number in list(alive):
        find_partner(number, range(number))
    while len(alive) > 1:
        _, number, partner = heapq.heappop(heap)
        if number not in alive:
            continue
        if partner not in alive:
            find_partner(number, [other for other in alive if other < number])
            continue
        joined = ground.join((alive.pop(number), alive.pop(partner)))
        new = max(alive, default=-1)
        new = max(new, number, partner) + 1
        alive[new] = joined
        find_partner(new, [other for other in alive if other != new])
    return next(iter(alive.values()))


def divide(ground: Ground, depth: int) -> Node:
    """From the root down: below each node, the images that share most get a node of their own,
    until none share any.
    """
    return _divide(
        ground, [ground.leaf(number) for number in range(len(ground.images))], frozenset(), depth
    )


def _divide(ground: Ground, leaves: list[Node], above: Classes, depth: int) -> Node:
    common = frozenset.intersection(*(leaf.common for leaf in leaves))
    depth -= ground.layers(common - above)
    rest = {leaf.image: leaf for leaf in leaves}
    children = []
    while depth > 1 and len(rest) > 1:
        counts: defaultdict[int, int] = defaultdict(int)
        for leaf in rest.values():
            for number in leaf.common - common:
                counts[number] += 1
        tried = heapq.nlargest(
            12,
            (
                (ground.weight[c] * (count - 1), c)
                for c, count in counts.items()
                if count > 1 and len(rest) > count
            ),
        )
        best, chosen = 0.0, list[Node]()
        for _, number in tried:
            sharing = [leaf for leaf in rest.values() if number in leaf.common]
            shared = frozenset.intersection(*(leaf.common for leaf in sharing)) - common
            value = ground.weigh(shared) * (len(sharing) - 1)
            if value > best and ground.layers(shared) < depth:
                best, chosen = value, sharing
        if not chosen:
            break
        children.append(_divide(ground, chosen, common, depth))
        for leaf in chosen:
            del rest[leaf.image]
    return Node(common, [*children, *rest.values()])


# Fit a tree into so many layers per image.

# Levels of a tree that are looked at: what lies between deeper ones saves least and is left out
# first.
_DEEPEST = 60


def contract(ground: Ground, root: Node, layers: int) -> Node:
    """The best tree with at most so many layers per image that leaving out inner nodes of this one
    gives.

    Exact for the given tree, by going through (node, the nearest node above that stays, layers
    left): O(n * depth * layers).
    """
    known: dict[tuple[int, int, int], tuple[float, bool]] = {}
    weight: dict[int, float] = {}
    count: dict[int, tuple[int, int]] = {}
    order: list[tuple[Node, int]] = [(root, 0)]
    for node, depth in order:
        order.extend((child, depth + 1) for child in node.children)
        weight[id(node)] = ground.weigh(node.common)
        models = sum(ground.models[c] for c in node.common)
        count[id(node)] = (models, sum(1 for c in node.common if not ground.models[c]))
    nothing = Node(frozenset())
    weight[id(nothing)], count[id(nothing)] = 0.0, (0, 0)

    def solve(node: Node, above: Node, left: int, depth: int) -> tuple[float, bool]:
        """The cost of all from here down, and whether this node stays."""
        key = (id(node), id(above), left)
        if key not in known:
            (models, others), (models_above, others_above) = count[id(node)], count[id(above)]
            need = models - models_above + (others > others_above)
            stay = leave = float("inf")
            if need <= left and (not node.children or depth < _DEEPEST):
                stay = weight[id(node)] - weight[id(above)]
                stay += sum(
                    solve(child, node, left - need, depth + 1)[0] for child in node.children
                )
            if node.children:
                leave = sum(solve(child, above, left, depth + 1)[0] for child in node.children)
            known[key] = (stay, True) if stay <= leave else (leave, False)
        return known[key]

    def build(node: Node, above: Node, left: int, depth: int) -> list[Node]:
        _, stays = solve(node, above, left, depth)
        if not stays:
            return [new for child in node.children for new in build(child, above, left, depth + 1)]
        (models, others), (models_above, others_above) = count[id(node)], count[id(above)]
        need = models - models_above + (others > others_above)
        children = [
            new for child in node.children for new in build(child, node, left - need, depth + 1)
        ]
        return [Node(node.common, children, node.image)]

    return flattened(Node(frozenset(), build(root, nothing, layers, 0)))


def flattened(root: Node) -> Node:
    """The tree below a root that holds nothing, without inner nodes that add nothing or have a
    single child.
    """

    def settle(node: Node, above: Classes) -> list[Node]:
        if not node.children:
            return [node]
        common = frozenset.intersection(*(child.common for child in node.children))
        children = [new for child in node.children for new in settle(child, common)]
        if len(children) == 1 or common == above:
            return children
        return [Node(common, children)]

    return Node(frozenset(), [new for child in root.children for new in settle(child, frozenset())])
