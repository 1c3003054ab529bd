"""What services share with one layer for each heavy wheel: bounds from which on a wheel is heavy, and
orders of layers, beside the union of all wheels. bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.synthetic import Fleet, Wheel, synthetic
from bench.timed import run, say

from slimbake.layers import HEAVY, LIMIT
from slimbake.layers.order import ordered
from slimbake.project import load

FLEETS = Path(__file__).with_name("fleets")
LOCKED = ("torch", "unlike")  # fleets with a manifest
DEFAULTS = ("50", "300", *LOCKED)
BOUNDS = (100_000, 250_000, 500_000, 1_000_000)  # bytes of a wheel file
UNPACKED = 4.5
"""Bytes on a host for one of a wheel, bytecode included: of the example's 48 packages."""
AT_MOST = 1.05  # of the union on a registry for locked fleets; of what it was before on a host

BEFORE = {
    "50": {"host": 1.25, "registry": 1.04, "pulled": 52.8e6},
    "300": {"host": 1.71, "registry": 1.10, "pulled": 28.5e6},
    "torch": {"host": 1.00, "registry": 1.00, "pulled": 25.0e6},
    "unlike": {"host": 1.42, "registry": 1.03, "pulled": 32.3e6},
}
"""A record: what the planner of 43511094 had for these fleets, with at most seven layers of packages. Of
the union, and bytes pulled for a bump on average.
"""

Layers = Mapping[str, tuple[Wheel, ...]]  # name -> its wheels
LayersOf = Mapping[str, list[str]]  # service -> the names of its layers
Order = Callable[[LayersOf, Mapping[str, int]], Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What a fleet takes, in bytes.

    host: each distinct stack of layers once, unpacked. registry: each distinct layer once. pulled:
    what a host with the whole fleet pulls when all services get a new version of one package.
    """

    bound: int
    order: str
    host: int
    registry: int
    pulled_mean: float
    pulled_median: float
    layers: int  # of the image that has most


def main() -> int:
    """Print a table for each fleet, write the numbers; the exit code is 6 where too little is shared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "fleets",
        nargs="*",
        default=DEFAULTS,
        help=f"{', '.join(LOCKED)}, or a number of services [{' '.join(DEFAULTS)}]",
    )
    parser.add_argument(
        "--freeze",
        action="store_true",
        help="lock the fleets that have a manifest, and write which wheels they have",
    )
    asked = parser.parse_args()
    if asked.freeze:
        for name in LOCKED:
            freeze(name)
        return 0
    found = {name: measured(name) for name in asked.fleets}
    for name, numbers in found.items():
        print(tables.markdown(f"{name}: {numbers['services']} services", HEADINGS, rows(numbers)))
    if tuple(asked.fleets) == DEFAULTS:
        say(f"all numbers: {tables.save('sharing', {'fleets': found}, stamped=False)}")
    faults = [fault for name, numbers in found.items() for fault in missed(name, numbers)]
    for fault in faults:
        say(fault)
    return 6 if faults else 0


# --- fleets


def fleet_of(name: str) -> Fleet:
    """A synthetic fleet by its number of services, or one of `bench/fleets`."""
    if name.isdecimal():
        return synthetic(int(name))
    known = json.loads((FLEETS / name / "wheels.json").read_text("utf-8"))
    fleet = {}
    for service, wheels in known["services"].items():
        sizes = [(wheel, known["bytes"][wheel]) for wheel in wheels]
        fleet[service] = tuple(Wheel(wheel, int(size * UNPACKED), size) for wheel, size in sizes)
    return fleet


def freeze(name: str) -> None:
    """Lock a fleet as it would be today, and write its wheels beside its manifest."""
    with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
        root = Path(scratch)
        shutil.copy(FLEETS / name / "services.yaml", root)
        (root / "code").mkdir()
        (root / "code" / "app.py").write_text("")
        say(f"{name}: locking")
        run((sys.executable, "-m", "slimbake", "lock"), root)
        project = load(root / "services.yaml")
        services: dict[str, list[str]] = {}
        sizes: dict[str, int] = {}
        for service in project.fleet.services:
            services[service.name] = []
            for pin in project.locks.pins(service.scope.lock):
                wheel = f"{pin.name} {pin.version}"
                assert pin.bytes, f"{wheel}: the index says no size"
                services[service.name].append(wheel)
                sizes[wheel] = pin.bytes
    content = {"services": services, "bytes": dict(sorted(sizes.items()))}
    (FLEETS / name / "wheels.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


# --- layers and their order


def composed(fleet: Fleet, bound: int) -> tuple[Layers, LayersOf]:
    """One layer for each wheel from a bound on, as many as an image may have, and one for the rest
    of each service. Equal rests are one layer.
    """
    layers: dict[str, tuple[Wheel, ...]] = {}
    layers_of: dict[str, list[str]] = {}
    for service, wheels in fleet.items():
        heavy = [wheel for wheel in wheels if wheel.registry >= bound]
        heavy.sort(key=lambda wheel: (-wheel.registry, wheel.name))
        heavy = heavy[: LIMIT - 1]
        rest = tuple(sorted(wheel for wheel in wheels if wheel not in heavy))
        own: dict[str, tuple[Wheel, ...]] = {wheel.name: (wheel,) for wheel in heavy}
        if rest:
            own[" ".join(wheel.name for wheel in rest)] = rest
        layers |= own
        layers_of[service] = list(own)
    return layers, layers_of


def by_size(layers_of: LayersOf, sizes: Mapping[str, int]) -> Mapping[str, Sequence[str]]:
    """The largest layer of each image first."""
    return {
        service: sorted(names, key=lambda name: (-sizes[name], name))
        for service, names in layers_of.items()
    }


def by_name(layers_of: LayersOf, _: Mapping[str, int]) -> Mapping[str, Sequence[str]]:
    """Layers as their names sort."""
    return {service: sorted(names) for service, names in layers_of.items()}


ORDERS: Mapping[str, Order] = {"slimbake": ordered, "by size": by_size, "by name": by_name}


# --- bytes


def measured(name: str) -> dict[str, Any]:
    """All numbers of a fleet: every bound in every order, and the union of its wheels.

    Orders go by bytes on a host. slimbake knows those of wheel files, and takes them for it.
    """
    fleet = fleet_of(name)
    union = {wheel for wheels in fleet.values() for wheel in wheels}
    found = []
    for bound in BOUNDS:
        layers, layers_of = composed(fleet, bound)
        sizes = {layer: host(wheels) for layer, wheels in layers.items()}
        for order, arranged in ORDERS.items():
            found.append(shared(bound, order, layers, arranged(layers_of, sizes)))
    return {
        "services": len(fleet),
        "union": {"host": host(union), "registry": registry(union)},
        "bound": HEAVY,  # slimbake's own
        "before": BEFORE.get(name),
        "shared": [asdict(each) for each in found],
    }


def shared(bound: int, order: str, layers: Layers, chains: Mapping[str, Sequence[str]]) -> Shared:
    """What images with these chains of layers take, bottom first."""
    stacks = set()
    for chain in chains.values():
        for place in range(len(chain)):
            stacks.add(tuple(chain[: place + 1]))
    pulled: dict[Wheel, int] = {}
    for wheels in layers.values():
        for wheel in wheels:
            pulled[wheel] = pulled.get(wheel, 0) + registry(wheels)
    return Shared(
        bound=bound,
        order=order,
        host=sum(host(layers[stack[-1]]) for stack in stacks),
        registry=sum(registry(wheels) for wheels in layers.values()),
        pulled_mean=statistics.mean(pulled.values()),
        pulled_median=statistics.median(pulled.values()),
        layers=max(len(chain) for chain in chains.values()),
    )


def host(wheels: Iterable[Wheel]) -> int:
    return sum(wheel.host for wheel in wheels)


def registry(wheels: Iterable[Wheel]) -> int:
    return sum(wheel.registry for wheel in wheels)


# --- what is shown and asked


HEADINGS = (
    "heavy from, order",
    "host / union",
    "registry / union",
    "MB pulled, mean",
    "median",
    "layers",
)


def rows(numbers: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The lines of a fleet's table; the planner that was before comes first."""
    union = numbers["union"]
    if before := numbers["before"]:
        of_union = (f"{before['host']:.2f}", f"{before['registry']:.2f}")
        yield ("before", *of_union, tables.megabytes(before["pulled"]), "-", "-")
    for each in numbers["shared"]:
        yield (
            f"{each['bound'] // 1000} kB, {each['order']}",
            tables.ratio(each["host"], union["host"]),
            tables.ratio(each["registry"], union["registry"]),
            tables.megabytes(each["pulled_mean"]),
            tables.megabytes(each["pulled_median"]),
            str(each["layers"]),
        )


def missed(name: str, numbers: Mapping[str, Any]) -> list[str]:
    """What slimbake's bound and order do not reach, in words."""
    (ours,) = (
        each
        for each in numbers["shared"]
        if each["bound"] == numbers["bound"] and each["order"] == "slimbake"
    )
    faults = []
    on_host = ours["host"] / numbers["union"]["host"]
    on_registry = ours["registry"] / numbers["union"]["registry"]
    before = numbers["before"]
    if before and on_host > AT_MOST * before["host"]:
        faults.append(f"{name}: {on_host:.2f} of the union on a host, {before['host']:.2f} before")
    if name in LOCKED and on_registry > AT_MOST:
        faults.append(f"{name}: {on_registry:.2f} of the union on a registry")
    return faults


if __name__ == "__main__":
    sys.exit(main())
