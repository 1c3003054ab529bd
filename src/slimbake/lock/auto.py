"""What is equal in the locks of several services, as layers of all of them. Pure.

`bake/locks/layers.json` holds names only; versions are the locks'. It is the earlier plan for the next
one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from slimbake.config.naming import base_layer
from slimbake.console.tables import readable
from slimbake.fleet.layering.model import LIMIT, RESERVED, Group, Item, demand
from slimbake.fleet.layering.sharing import SharedLayer, Sharing, shared_layers
from slimbake.fleet.model import Fleet, Service
from slimbake.lock.model import Pin, text_digest

# bytes on a host for one of a wheel, bytecode included: of the example's 48 packages
# (docs/layers.md)
UNPACKED = 4.5
UNKNOWN = 1_000_000  # bytes of a wheel of which the index says none

Pins = Mapping[str, tuple[Pin, ...]]  # service -> all that its locks pin beside its bases


def arrange(fleet: Fleet, pins: Pins, previous: Sharing, before: Pins) -> Sharing:
    """The layers that services share, above the bases that they stand on. `previous`: how it was, and
    `before` what was pinned in its layers; what need not move stays.
    """
    # The planner costs time that a fresh lock need not spend.
    from slimbake.fleet.layering.planner import layer_plan

    standing: defaultdict[str, list[Service]] = defaultdict(list)
    for service in fleet.services:
        if service.shares:
            standing[service.base.name if service.base else ""].append(service)
    layers: list[SharedLayer] = []
    tops: dict[str, str] = {}
    taken = {base.name for base in fleet.bases}
    previous = Sharing() if taken & previous.by_name.keys() else previous
    for services in standing.values():
        wheels = demand((s.name, items(pins.get(s.name, ()), s)) for s in services)
        old = previous.of({service.name for service in services})
        chains = {
            service.name: tuple(
                _keys(before.get(layer.lock, ()), service) for layer in old.chain(top)
            )
            for service in services
            if (top := old.services.get(service.name))
        }
        limit = (fleet.manifest.layer_limit or LIMIT) - RESERVED
        free = max(1, limit - len(services[0].layer.chain))
        kept = {group for chain in chains.values() for group in chain}
        sharing = shared_layers(wheels, layer_plan(wheels, free, chains), old, kept, taken)
        taken |= sharing.by_name.keys()
        layers += sharing.layers
        tops |= sharing.services
    return Sharing(tuple(layers), tops)


def items(pins: Iterable[Pin], service: Service) -> Iterator[Item]:
    """The wheels of a service: equal in name, version, files, platforms, and what the rules of the
    promise make of them.
    """
    together: defaultdict[str, list[Pin]] = defaultdict(list)
    for pin in pins:
        together[pin.name].append(pin)
    for name, same in together.items():  # platforms may differ in the version
        files = [[*pin.hashes, pin.built, pin.marker] for pin in same]
        variety = text_digest(f"{sorted(files)} {service.optimize}")[7:19]
        wheel = max(pin.bytes or UNKNOWN for pin in same)
        version = " ".join(sorted(pin.version for pin in same))
        yield Item(name, version, int(wheel * UNPACKED), wheel, variety)


def _keys(pins: Iterable[Pin], service: Service) -> Group:
    return frozenset(item.key for item in items(pins, service))


def cut(sharing: Sharing, pins: Pins) -> dict[str, tuple[Pin, ...]]:
    """The pins of every shared layer and every service, by the lock's name.

    What needs a package is said within the layer's own chain, so that no service's change is one of
    a layer.
    """
    locks: dict[str, tuple[Pin, ...]] = {}
    for service, top in sharing.services.items():
        for layer in sharing.chain(top):
            locks[base_layer(layer.lock)] = tuple(
                replace(pin, via=tuple(name for name in pin.via if name in layer.packages))
                for pin in sorted(pins[service])
                if pin.name in layer.packages
            )
    for service, every in pins.items():
        chain = sharing.chain(sharing.services.get(service, ""))
        shared = frozenset[str]().union(*(layer.packages for layer in chain))
        locks[service] = tuple(pin for pin in every if pin.name not in shared)
    return locks


def alignment(pins: Pins) -> str:
    """What services would share more if they pinned one version, in a line: the package that would
    bring most; "" where that is little.
    """
    versions: defaultdict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    for service, service_pins in pins.items():
        for pin in service_pins:
            size = int((pin.bytes or UNKNOWN) * UNPACKED)
            versions[pin.name].setdefault(pin.version, (service, size))
    more = {
        name: sum(size for _, size in there.values()) - max(size for _, size in there.values())
        for name, there in versions.items()
    }
    name = max(more, key=lambda each: (more[each], each), default="")
    if not name or more[name] < _WORTH_A_LINE:
        return ""
    listing = ", ".join(
        f"{service} pins {name} {version}" if not at else f"{service} {version}"
        for at, (version, (service, _)) in enumerate(list(versions[name].items())[:4])
    )
    return f"{listing}: one version would share about {readable(more[name])} more on a host"


_WORTH_A_LINE = 1_000_000  # bytes
