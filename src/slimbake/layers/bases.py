"""A plan as bases: what a person would have written into the manifest. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from slimbake.layers.cost import names
from slimbake.layers.model import Fleet, Group, LayerPlan


@dataclass(frozen=True, slots=True)
class PlannedBase:
    """A layer that several images stand on. Its parent comes before it."""

    name: str
    parent: str  # "" = the runtime
    items: Group  # packages, or the weights of one model


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a service stands, and the layers that it has for itself."""

    service: str
    base: str  # "" = the runtime
    own: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Bases:
    bases: tuple[PlannedBase, ...]
    stands: tuple[Stand, ...]


def bases(fleet: Fleet, plan: LayerPlan, previous: Bases | None = None) -> Bases:
    """Every layer that two services or more have, in the same place, is a base; the rest are the services' own.

    A base is called after its heaviest item: `torch`; a second one of that name `torch-2`. With a previous result, a
    base keeps the name of the one whose items, by bytes on a host and whatever their versions, are more than half of
    what the two hold together: names change only where layers do.
    """
    users = Counter(chain.groups[: at + 1] for chain in plan.chains for at in range(len(chain.groups)))
    shared = sorted((place for place, count in users.items() if count > 1), key=lambda place: _order(fleet, place))
    named: dict[tuple[Group, ...], str] = {}
    taken: set[str] = set()
    old = list(previous.bases) if previous else []
    for place in shared:
        match = max(old, key=lambda base: _alike(fleet, base.items, place[-1]), default=None)
        if match and _alike(fleet, match.items, place[-1]) > 0.5:
            named[place] = match.name
            taken.add(match.name)
            old.remove(match)
    for place in shared:
        if place not in named:
            first = max(sorted(place[-1]), key=lambda key: fleet.by_key[key].host)
            named[place] = _free(fleet.by_key[first].name, taken | {base.name for base in old})
            taken.add(named[place])
    stands = []
    for chain in plan.chains:
        at = sum(1 for depth in range(len(chain.groups)) if users[chain.groups[: depth + 1]] > 1)
        stands.append(Stand(chain.service, named[chain.groups[:at]] if at else "", chain.groups[at:]))
    found = (PlannedBase(named[place], named.get(place[:-1], ""), place[-1]) for place in shared)
    return Bases(tuple(found), tuple(stands))


def _order(fleet: Fleet, place: tuple[Group, ...]) -> tuple[int, int, list[list[str]]]:
    """Parents first, then the heaviest."""
    return len(place), -sum(fleet.by_key[key].host for key in place[-1]), [sorted(group) for group in place]


def _alike(fleet: Fleet, one: Group, other: Group) -> float:
    """The part that two groups have in common of what both hold together, by bytes; items without any count as one."""
    weight: dict[str, int] = {}
    for item in fleet.items:
        weight[item.name] = max(weight.get(item.name, 1), item.host)
    both, either = names(one) & names(other), names(one) | names(other)
    return sum(weight.get(name, 1) for name in both) / sum(weight.get(name, 1) for name in either)


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken)
