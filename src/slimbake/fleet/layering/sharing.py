"""The layers that several services share, with names: a plan as bases that nobody wrote. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from slimbake.fleet.layering.model import Demand, Group, LayerPlan, item_names, shared_groups


@dataclass(frozen=True, slots=True)
class SharedLayer:
    """Wheels that stand equal in the locks of several services. The layer below comes before it."""

    name: str
    below: str  # "" = what its services stand on by the manifest
    packages: Group  # names: their versions are the locks'
    lock: str  # the layer whose lock it has: of equal ones in several places, one of them


@dataclass(frozen=True)
class Sharing:
    """The shared layers of a fleet, and the highest one in the image of each service that has any."""

    layers: tuple[SharedLayer, ...] = ()
    services: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, SharedLayer]:
        return {layer.name: layer for layer in self.layers}

    def chain(self, name: str) -> tuple[SharedLayer, ...]:
        """A layer with all layers beneath, bottom first; empty for ""."""
        layers: list[SharedLayer] = []
        while name:
            layers.insert(0, self.by_name[name])
            name = layers[0].below
        return tuple(layers)

    def of(self, services: Collection[str]) -> Sharing:
        """The layers of these services alone."""
        tops = {name: top for name, top in self.services.items() if name in services}
        used = {layer.name for top in tops.values() for layer in self.chain(top)}
        return Sharing(tuple(layer for layer in self.layers if layer.name in used), tops)


def shared_layers(
    fleet: Demand,
    plan: LayerPlan,
    previous: Sharing,
    kept: Collection[Group] = (),
    taken: Collection[str] = (),
) -> Sharing:
    """Every layer that two services or more have, once for each place; the rest is each service's own.

    `kept`: layers of the previous ones, which stay while one service stands on them. A layer is called
    after its heaviest package: `torch`; a second one of that name `torch-2`. It keeps the name of
    the previous one whose packages, by bytes on a host and in any version, are more than half of
    what the two hold together: names change only where layers do. `taken`: names of others.
    """
    shared = shared_groups(fleet, plan).union(kept)
    tops = {}
    for chain in plan.chains:
        alone = (group not in shared for group in chain.groups)
        tops[chain.service] = chain.groups[
            : next((at for at, is_alone in enumerate(alone) if is_alone), None)
        ]
    places = dict.fromkeys(top[: at + 1] for top in tops.values() for at in range(len(top)))
    order = sorted(places, key=lambda place: (len(place), -fleet.host(place[-1])))
    names: dict[tuple[Group, ...], str] = {}
    old = list(previous.layers)
    weights: dict[str, int] = {}
    for item in fleet.items:
        weights[item.name] = max(weights.get(item.name, 1), item.host)
    for place in order:
        match = max(old, key=lambda layer: _alike(weights, layer.packages, place[-1]), default=None)
        if match and _alike(weights, match.packages, place[-1]) > 0.5:
            names[place] = match.name
            old.remove(match)
    used = {*taken, *names.values(), *(layer.name for layer in old)}
    for place in order:
        if place not in names:
            first = max(sorted(place[-1]), key=lambda key: fleet.by_key[key].host)
            names[place] = _free(fleet.by_key[first].name, used)
            used.add(names[place])
    locks: dict[Group, str] = {}
    layers = []
    for place in order:
        lock = locks.setdefault(place[-1], names[place])
        parent = names.get(place[:-1], "")
        layers.append(SharedLayer(names[place], parent, item_names(place[-1]), lock))
    return Sharing(tuple(layers), {service: names[top] for service, top in tops.items() if top})


def _alike(weights: Mapping[str, int], packages: Group, group: Group) -> float:
    """The part that two layers have in common of what both hold together, by bytes."""
    both, either = packages & item_names(group), packages | item_names(group)
    return sum(weights.get(name, 1) for name in both) / sum(weights.get(name, 1) for name in either)


def _free(name: str, used: Collection[str]) -> str:
    numbered = (f"{name}-{number}" for number in range(2, len(used) + 3))
    return next(candidate for candidate in (name, *numbered) if candidate not in used)
