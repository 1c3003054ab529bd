"""Services in groups that take about as long as one another. Pure."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Mapping, Sequence


def balance(
    names: Sequence[str], costs: Mapping[str, float], groups: int
) -> tuple[tuple[str, ...], ...]:
    """Spread names over at most that many groups: the costliest first, each to the group that has
    least.

    The longest group takes at most 4/3 of what the best spread takes (Graham 1969). A name whose
    cost is unknown costs what the others do in the middle. The same input gives the same groups;
    names keep their order in a group, groups the order of their first names.
    """
    usual = (
        statistics.median(costs[name] for name in names if name in costs)
        if set(names) & set(costs)
        else 1.0
    )
    place = {name: index for index, name in enumerate(names)}
    cost = {name: costs.get(name, usual) for name in names}
    heap: list[tuple[float, int]] = [(0.0, group) for group in range(min(groups, len(names)))]
    found: list[list[str]] = [[] for _ in heap]
    for name in sorted(names, key=lambda name: (-cost[name], place[name])):
        load, group = heapq.heappop(heap)
        found[group].append(name)
        heapq.heappush(heap, (load + cost[name], group))
    ordered = (sorted(group, key=place.__getitem__) for group in found)
    return tuple(
        sorted((tuple(group) for group in ordered if group), key=lambda group: place[group[0]])
    )
