"""`layers: auto`: the planner's layers as generated bases, and the file that keeps them. Pure.

`locks/layers.json` holds names only; versions are the locks'. It is the earlier plan for the next
one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from slimbake.config.model import Base, Manifest, Requirements, Service
from slimbake.fleet.sources import local_packages, weights_sources
from slimbake.layering.bases import (
    PlannedBase,
    PlannedBases,
    Stand,
    as_layer_plan,
    bases_below,
    planned_bases,
)
from slimbake.layering.model import Group, Item, LayerLimits, demand
from slimbake.lock.model import Pin

# bytes on a host for one of a wheel, bytecode included: of the example's 48 packages
# (docs/layers.md)
UNPACKED = 4.5
# bytes of a package of the repository: code is small, and a lock cannot depend on its every edit
LOCAL = 50_000
UNKNOWN = 1_000_000  # bytes of a wheel of which the index says none

_NAME = re.compile(r"[a-z0-9-]+")

Closures = Mapping[str, tuple[Pin, ...]]  # service -> all that it needs


def arrange(
    manifest: Manifest,
    closures: Closures,
    weights: Mapping[str, int],
    previous: PlannedBases | None,
) -> PlannedBases:
    """The layers of a fleet. `weights`: their name -> bytes. `previous`: how it was; what need not
    move stays.

    Raises ValueError where no plan keeps the limit.
    """
    from slimbake.layering.planner import (
        layer_plan,  # it costs time that a fresh lock need not spend
    )

    sources = weights_sources(manifest)

    def items(service: Service) -> Iterable[Item]:
        for name, pins in _by_name(closures.get(service.name, ())).items():
            # Platforms may differ in the version: what is called the same lies in one layer.
            wheel = max((w.bytes or UNKNOWN for pin in pins for w in pin.wheels), default=UNKNOWN)
            yield Item(name, " ".join(pin.version for pin in pins), int(wheel * UNPACKED), wheel)
        for package in service.requirements.packages:
            yield Item(package.name, "", LOCAL, LOCAL // 4)
        if service.weights:
            name = f"weights-{sources[service.weights].name}"
            yield Item(name, "", weights[name], weights[name], kind="weights")

    found = demand(
        (service.name, items(service)) for service in manifest.services if _asks(service)
    )
    limits = LayerLimits(manifest.layer_limit) if manifest.layer_limit else LayerLimits()
    return _names(
        planned_bases(
            found,
            layer_plan(found, limits, previous=as_layer_plan(previous) if previous else None),
            previous,
        )
    )


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


def installing(manifest: Manifest, found: PlannedBases | None) -> tuple[PlannedBase, ...]:
    """The bases that hold packages, and so have a lock; one for weights holds nothing else."""
    weights = {f"weights-{source.name}" for source in weights_sources(manifest).values()}
    return tuple(base for base in found.bases if not base.items <= weights) if found else ()


def cut(manifest: Manifest, found: PlannedBases, closures: Closures) -> dict[str, tuple[Pin, ...]]:
    """The pins of every generated base and every service, by the lock's name.

    What needs a package is told within the base's own chain, so that no service's change is one of
    a base.
    """
    pins = _by_name(_widest(pin for closure in closures.values() for pin in closure))
    held = {
        base.name: frozenset[str]().union(*(each.items for each in bases_below(base.name, found)))
        for base in found.bases
    }
    locks: dict[str, tuple[Pin, ...]] = {}
    for base in installing(manifest, found):
        own = (pin for name in sorted(base.items) for pin in pins.get(name, ()))
        locks[f"base-{base.name}"] = tuple(
            replace(p, via=tuple(n for n in p.via if n in held[base.name])) for p in own
        )
    weighted = {service.name for service in manifest.services if service.weights}
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


def sharers(found: PlannedBases) -> dict[str, tuple[str, ...]]:
    """The services that stand on each base, directly or not, by its lock's name."""
    chains = {stand.service: bases_below(stand.base, found) for stand in found.stands}
    return {
        f"base-{base.name}": tuple(service for service, chain in chains.items() if base in chain)
        for base in found.bases
    }


def kept(manifest: Manifest, known: PlannedBases) -> PlannedBases:
    """The layers without services that are gone, and without bases that none of the others stands
    on.
    """
    services = {service.name for service in manifest.services if _asks(service)}
    stands = tuple(stand for stand in known.stands if stand.service in services)
    served = {base for stand in stands for base in bases_below(stand.base, known)}
    return PlannedBases(tuple(base for base in known.bases if base in served), stands)


def _asks(service: Service) -> bool:
    return bool(service.requirements.specs or service.requirements.packages or service.weights)


def applied(manifest: Manifest, found: PlannedBases) -> Manifest:
    """The manifest as if a person had written these bases."""
    known = kept(manifest, found)
    local = {package.name: package for package in local_packages(manifest)}
    weights = {f"weights-{source.name}": each for each, source in weights_sources(manifest).items()}
    stands = {stand.service: stand for stand in known.stands}

    def asked(items: Iterable[str]) -> Requirements:
        names = sorted(name for name in items if name not in weights)
        return Requirements(
            tuple(name for name in names if name not in local),
            tuple(local[name] for name in names if name in local),
        )

    def service(each: Service) -> Service:
        stand = stands.get(each.name)
        if stand is None:  # it is newer than the locks, or needs nothing
            return each
        own = asked(name for group in stand.own for name in group)
        return replace(
            each, base=stand.base or None, requirements=replace(own, files=each.requirements.files)
        )

    made = (
        Base(
            name=base.name,
            extends=base.parent or None,
            requirements=asked(base.items),
            # which of them holds it, if any does, is nothing that the others' wheels depend on
            torch=manifest.torch,
            weights=next((weights[name] for name in base.items if name in weights), None),
        )
        for base in known.bases
    )
    return replace(
        manifest, bases=tuple(made), services=tuple(service(each) for each in manifest.services)
    )


def text(found: PlannedBases) -> str:
    """The file: a line for each base and each service, so that a change of one is a change of one
    line.
    """
    rows = [
        f"  {json.dumps(b.name)}: {_json({'on': b.parent, 'holds': sorted(b.items)})}"
        for b in found.bases
    ]
    own = [
        f"  {json.dumps(s.service)}:"
        f" {_json({'on': s.base, 'holds': [sorted(group) for group in s.own]})}"
        for s in sorted(found.stands, key=lambda stand: stand.service)
    ]
    join = ",\n".join
    return '{\n "bases": {\n' + join(rows) + '\n },\n "services": {\n' + join(own) + "\n }\n}\n"


def parse(content: str) -> PlannedBases | None:
    """Read the file; None where it is none, or says what cannot be."""
    try:
        found = json.loads(content)
        made = tuple(
            PlannedBase(name, base["on"], _group(base["holds"]))
            for name, base in found["bases"].items()
        )
        stands = tuple(
            Stand(name, stand["on"], tuple(map(_group, stand["holds"])))
            for name, stand in found["services"].items()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    names = ["", *(base.name for base in made)]
    sound = all(
        _NAME.fullmatch(base.name) and base.parent in names[: at + 1]
        for at, base in enumerate(made)
    )
    return (
        PlannedBases(made, stands)
        if sound and all(stand.base in names for stand in stands)
        else None
    )


def _group(names: list[str]) -> Group:
    if not all(map(_NAME.fullmatch, names)):
        raise ValueError(names)
    return frozenset(names)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
