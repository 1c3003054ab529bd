"""The targets of a whole fleet as a graph: put in order, and what each stands on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slimbake.plan.model import Links, Target, needing


def ordered(targets: Iterable[Target]) -> tuple[Target, ...]:
    """The targets in their order, but each after all that it stands on; nothing stands on itself."""
    waiting = list(targets)[::-1]
    by_name = {target.name: target for target in waiting}
    placed: dict[str, Target] = {}
    while waiting:
        target = waiting.pop()
        first = [by_name[name] for name in target.needs if name not in placed]
        if first:
            waiting += [target, *reversed(first)]
        else:
            placed.setdefault(target.name, target)
    return tuple(placed.values())


def standing(targets: Sequence[Target], links: Links = needing) -> dict[str, tuple[Target, ...]]:
    """Of each of these targets what `needed` says, for all of them in one go: a fleet of thousands
    has no time else.

    `targets`: each after all that it stands on.
    """
    found: dict[str, frozenset[int]] = {}
    for place, target in enumerate(targets):
        found[target.name] = frozenset((place,)).union(*(found[name] for name in links(target)))
    return {
        name: tuple(targets[place] for place in sorted(places)) for name, places in found.items()
    }
