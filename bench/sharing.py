"""What services of a fleet share, planned from their locks: beside other rules, in one table.
bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import tables
from layering import compared
from layering.fleets import synthetic
from layering.judged import faults
from timed import say

from slimbake.fleet.layering.cost import Cost, cost, least_cost
from slimbake.fleet.layering.model import LIMIT, RESERVED, Demand, LayerPlan, demand
from slimbake.fleet.layering.planner import layer_plan
from slimbake.fleet.layering.sharing import Sharing, shared_layers
from slimbake.lock.auto import items
from slimbake.lock.locks import closure
from slimbake.project import load

HEADINGS = ("", "host", "of the union", "registry", "of the union", "pulled", "layers", "s")
BUMPS = 100


def main() -> int:
    """Print a table for each fleet; 1 where a plan is no plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "fleets", nargs="+", help="folders with services.yaml and locks, or a number of services"
    )
    kept, good = {}, True
    for name in parser.parse_args().fleets:
        fleet = synthetic(int(name)) if name.isdecimal() else locked(Path(name))
        least = least_cost(fleet)
        rows = []
        for way, plan in ways(fleet).items():
            began = time.process_time()
            made = plan()
            spent = time.process_time() - began
            counted = cost(fleet, made)
            rows.append((*_cells(way, counted, least), tables.seconds(spent)))
            kept[f"{name}: {way}"] = asdict(counted)
        ours = layer_plan(fleet)
        good = good and not faults(fleet, ours)
        print(tables.markdown(f"{Path(name).name}: MB", HEADINGS, rows))
        sharing = shared_layers(fleet, ours, Sharing())
        locks = {layer.lock for layer in sharing.layers}
        print(f"{len(locks)} shared layers; of {BUMPS} bumps, {bumps(fleet, ours, sharing)} change")
        print("the layers of one service alone\n")
    say(f"all numbers: {tables.save('sharing', kept)}")
    return 0 if good else 1


def locked(root: Path) -> Demand:
    """The wheels that the locks of each service name, less those of bases that a person wrote."""
    project = load(root.resolve() / "services.yaml")
    return demand(
        (service.name, items(closure(project.locks, service.name).values(), service))
        for service in project.fleet.services
    )


def ways(fleet: Demand) -> dict[str, Callable[[], LayerPlan]]:
    """The ways to cut a fleet into layers, by name."""
    free = LIMIT - RESERVED
    return {
        "no sharing": lambda: compared.one_image_each(fleet),
        "apko, largest groups": lambda: compared.largest(fleet, free),
        "one layer a wheel": lambda: compared.largest(fleet, 10_000),
        "slimbake": lambda: layer_plan(fleet),
    }


def bumps(fleet: Demand, plan: LayerPlan, sharing: Sharing) -> int:
    """Of so many new versions, each of one package in one service, how many move no other service."""
    dice = random.Random(1)  # noqa: S311
    before = {
        c.service: c.groups[: len(sharing.chain(sharing.services.get(c.service, "")))]
        for c in plan.chains
    }
    alone = 0
    for _ in range(BUMPS):
        image = dice.choice([image for image in fleet.images if image.items])
        key = dice.choice(sorted(image.items))
        newer = replace(fleet.by_key[key], version="newer")
        now = demand(
            (i.service, [newer if i is image and k == key else fleet.by_key[k] for k in i.items])
            for i in fleet.images
        )
        after = layer_plan(now, previous=before)
        alone += all(c == plan.chain(c.service) for c in after.chains if c.service != image.service)
    return alone


def _cells(way: str, counted: Cost, least: Cost) -> tuple[str, ...]:
    return (
        way,
        tables.megabytes(counted.host),
        f"{counted.host / least.host:.2f}",
        tables.megabytes(counted.registry),
        f"{counted.registry / least.registry:.2f}",
        tables.megabytes(counted.pulled),
        str(counted.layers),
    )


if __name__ == "__main__":
    sys.exit(main())
