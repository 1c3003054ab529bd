"""`layers: auto`: the planner's layers as generated bases, and the file that keeps them. Pure.

`bake/locks/layers.json` holds names only; versions are the locks'. It is the earlier plan for the next
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from slimbake.config.naming import base_layer
from slimbake.fleet.layering.bases import (
    PlannedBase,
    PlannedBases,
    as_layer_plan,
    planned_bases,
)
from slimbake.fleet.layering.model import Item, LayerLimits, demand
from slimbake.fleet.model import Fleet, Service
from slimbake.lock.model import Pin

# bytes on a host for one of a wheel, bytecode included: of the example's 48 packages
# (docs/layers.md)
UNPACKED = 4.5
# bytes of a package that is built here: code is small, and a lock cannot depend on its every edit
LOCAL = 50_000
UNKNOWN = 1_000_000  # bytes of a wheel of which the index says none

Closures = Mapping[str, tuple[Pin, ...]]  # service -> all that it needs


def arrange(
    fleet: Fleet, closures: Closures, weights: Mapping[str, int], previous: PlannedBases | None
) -> PlannedBases:
    """The layers of a fleet. `weights`: their layer -> bytes. `previous`: how it was; what need not
    move stays.

    Raises ValueError where no plan keeps the limit.
    """
    # The planner costs time that a fresh lock need not spend.
    from slimbake.fleet.layering.planner import layer_plan

    def items(service: Service) -> Iterable[Item]:
        for name, pins in _by_name(closures.get(service.name, ())).items():
            # Platforms may differ in the version: what is called the same lies in one layer.
            built = LOCAL if any(pin.built for pin in pins) else UNKNOWN
            wheel = max((w.bytes or UNKNOWN for pin in pins for w in pin.wheels), default=built)
            yield Item(name, " ".join(pin.version for pin in pins), int(wheel * UNPACKED), wheel)
        for package in service.packages:
            yield Item(package.name, "", LOCAL, LOCAL // 4)
        if service.laid:
            name = service.laid.layer.name
            yield Item(name, "", weights[name], weights[name], kind="weights")

    asking = (each for each in fleet.services if each.layer.installs or each.laid)
    found = demand((service.name, items(service)) for service in asking)
    limit = fleet.manifest.layer_limit
    limits = LayerLimits(limit) if limit else LayerLimits()
    before = as_layer_plan(previous) if previous else None
    return _names(planned_bases(found, layer_plan(found, limits, previous=before), previous))


def _by_name(pins: Iterable[Pin]) -> dict[str, list[Pin]]:
    found: dict[str, list[Pin]] = {}
    for pin in sorted(pins):
        found.setdefault(pin.name, []).append(pin)
    return found


def _names(found: PlannedBases) -> PlannedBases:
    def bare(group: Iterable[str]) -> frozenset[str]:
        return frozenset(key.partition("==")[0] for key in group)

    return PlannedBases(
        tuple(replace(base, items=bare(base.items)) for base in found.bases),
        tuple(replace(stand, own=tuple(map(bare, stand.own))) for stand in found.stands),
    )


def installing(fleet: Fleet, found: PlannedBases | None) -> tuple[PlannedBase, ...]:
    """The bases that hold packages, and so have a lock; one for weights holds nothing else."""
    weights = {each.layer.name for each in fleet.weights}
    return tuple(base for base in found.bases if not base.items <= weights) if found else ()


def cut(fleet: Fleet, found: PlannedBases, closures: Closures) -> dict[str, tuple[Pin, ...]]:
    """The pins of every generated base and every service, by the lock's name.

    What needs a package is said within the base's own chain, so that no service's change is one of
    a base.
    """
    pins = _by_name(_widest(pin for closure in closures.values() for pin in closure))
    held = {
        base.name: frozenset[str]().union(*(each.items for each in found.below(base.name)))
        for base in found.bases
    }
    locks: dict[str, tuple[Pin, ...]] = {}
    for base in installing(fleet, found):
        own = (pin for name in sorted(base.items) for pin in pins.get(name, ()))
        locks[base_layer(base.name)] = tuple(
            replace(p, via=tuple(n for n in p.via if n in held[base.name])) for p in own
        )
    weighted = {service.name for service in fleet.services if service.laid}
    for stand in found.stands:
        shared = held.get(stand.base, frozenset())
        if stand.service in closures or stand.service in weighted:
            own = (pin for pin in closures.get(stand.service, ()) if pin.name not in shared)
            locks[stand.service] = tuple(own)
    return locks


def _widest(pins: Iterable[Pin]) -> Iterable[Pin]:
    """Each version once, wherever any of the services needs it: one may on every platform, another
    on one alone.
    """
    together: dict[tuple[str, str], list[Pin]] = {}
    for pin in pins:
        together.setdefault((pin.name, pin.version), []).append(pin)
    for same in together.values():
        markers = sorted({pin.marker for pin in same})
        yield replace(
            same[0],
            wheels=tuple(sorted({wheel for pin in same for wheel in pin.wheels})),
            via=tuple(sorted({name for pin in same for name in pin.via})),
            marker="" if "" in markers else " or ".join(markers),
        )
