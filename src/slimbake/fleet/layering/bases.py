"""A plan as bases: what a person would have written into the manifest. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slimbake.fleet.layering.cost import item_names
from slimbake.fleet.layering.model import Chain, Demand, Group, LayerPlan


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
class PlannedBases:
    bases: tuple[PlannedBase, ...]
    stands: tuple[Stand, ...]

    def below(self, name: str) -> tuple[PlannedBase, ...]:
        """A base and all that it stands on, bottom first; nothing for the runtime."""
        by_name = {base.name: base for base in self.bases}
        chain: list[PlannedBase] = []
        while name:
            chain.insert(0, by_name[name])
            name = by_name[name].parent
        return tuple(chain)


def planned_bases(
    fleet: Demand, plan: LayerPlan, previous: PlannedBases | None = None
) -> PlannedBases:
    """Every layer that two services or more have, in the same place, is a base; the rest is each
    service's own.

    What a service has alone is one layer of packages, in any plan: a base for each of them
    would be a target that nothing shares. A base that one service alone still stands on stays one
    while its items do.

    A base is called after its heaviest item: `torch`; a second one of that name `torch-2`. With a
    previous result, a base keeps the name of the one whose items, by bytes on a host and in any
    version, are more than half of what the two hold together: names change only where layers
    do.
    """
    users = Counter(
        chain.groups[: at + 1] for chain in plan.chains for at in range(len(chain.groups))
    )
    stays = {item_names(base.items) for base in previous.bases} if previous else set()
    depth = {chain.service: _depth(chain.groups, users, stays) for chain in plan.chains}
    places = {chain.groups[: at + 1] for chain in plan.chains for at in range(depth[chain.service])}
    shared = sorted(places, key=lambda place: _order(fleet, place))
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
        at = depth[chain.service]
        own = _own(fleet, chain.groups[at:])
        stands.append(Stand(chain.service, named[chain.groups[:at]] if at else "", own))
    found = (PlannedBase(named[place], named.get(place[:-1], ""), place[-1]) for place in shared)
    return PlannedBases(tuple(found), tuple(stands))


def as_layer_plan(found: PlannedBases) -> LayerPlan:
    """The plan that these bases are."""
    return LayerPlan(
        tuple(
            Chain(s.service, (*(base.items for base in found.below(s.base)), *s.own))
            for s in found.stands
        )
    )


def _depth(
    groups: tuple[Group, ...], users: Mapping[tuple[Group, ...], int], stays: Collection[Group]
) -> int:
    """How many layers of a chain are bases."""
    own = (
        at
        for at, group in enumerate(groups)
        if users[groups[: at + 1]] == 1 and item_names(group) not in stays
    )
    return next(own, len(groups))


def _own(fleet: Demand, groups: tuple[Group, ...]) -> tuple[Group, ...]:
    models = tuple(
        group for group in groups if all(fleet.by_key[key].kind == "weights" for key in group)
    )
    packages = frozenset[str]().union(*(group for group in groups if group not in models))
    return (*models, packages) if packages else models


def _order(fleet: Demand, place: tuple[Group, ...]) -> tuple[int, int, list[list[str]]]:
    """Parents first, then the heaviest."""
    return (
        len(place),
        -sum(fleet.by_key[key].host for key in place[-1]),
        [sorted(group) for group in place],
    )


def _alike(fleet: Demand, one: Group, other: Group) -> float:
    """The part that two groups have in common of what both hold together, by bytes; items without
    any count as one.
    """
    weight: dict[str, int] = {}
    for item in fleet.items:
        weight[item.name] = max(weight.get(item.name, 1), item.host)
    both, either = item_names(one) & item_names(other), item_names(one) | item_names(other)
    return sum(weight.get(name, 1) for name in both) / sum(weight.get(name, 1) for name in either)


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(
        f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken
    )
