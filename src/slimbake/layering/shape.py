"""Fit a tree into so many layers per image, and better it by moving its branches. Pure."""

from __future__ import annotations

from slimbake.layering.tree import Classes, Ground, Node

_DEEPEST = 60
"""Levels of a tree that are looked at: what lies between deeper ones saves least and is left out
first.
"""


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


def improve(ground: Ground, root: Node, layers: int, rounds: int) -> Node:
    """Take out one branch after the other and put each where it shares most; until a round gains
    nothing.
    """
    root = flattened(root)
    for _ in range(rounds):
        gained = 0.0
        branches = [(node, child) for node in _inner(root) for child in node.children]
        for parent, branch in branches:
            if branch in parent.children and (parent is root or len(parent.children) > 2):
                gained += _replant(ground, root, parent, branch, layers)
        root = flattened(root)
        if gained <= 0:
            break
    # what all below a node share has grown since it was looked at
    return contract(ground, root, layers)


def _replant(ground: Ground, root: Node, parent: Node, branch: Node, layers: int) -> float:
    """Move a branch to where it shares most; the weight that this saves."""
    best = ground.weigh(parent.common)
    place: tuple[Node, Node | None] | None = None
    more = branch.common - parent.common  # without any of these, no place is better
    stack: list[tuple[Node, int]] = [(root, layers)]
    while stack:
        node, left = stack.pop()
        if node is not parent and not node.common.isdisjoint(more):
            value = ground.weigh(node.common)
            if value > best and _layers(ground, branch, node.common) <= left:
                best, place = value, (node, None)
        for child in node.children:
            if child is branch:
                continue
            if child.children and child.common <= branch.common:
                stack.append((child, left - ground.layers(child.common - node.common)))
            elif child is not parent and not child.common.isdisjoint(more):
                shared = child.common & branch.common
                value = ground.weigh(shared)
                if value > best and shared > node.common:
                    need = ground.layers(shared - node.common)
                    tallest = max(_layers(ground, child, shared), _layers(ground, branch, shared))
                    if need + tallest <= left:
                        best, place = value, (node, child)
    if place is None:
        return 0.0
    gained = best - ground.weigh(parent.common)
    parent.children.remove(branch)
    below, beside = place
    if beside is None:
        below.children.append(branch)
    else:
        below.children.remove(beside)
        below.children.append(ground.join((beside, branch)))
    return gained


def _layers(ground: Ground, node: Node, above: Classes) -> int:
    """The most layers of an image from this node up."""
    return ground.layers(node.common - above) + max(
        (_layers(ground, child, node.common) for child in node.children), default=0
    )


def _inner(root: Node) -> list[Node]:
    found = [root]
    for node in found:
        found.extend(child for child in node.children if child.children)
    return found
