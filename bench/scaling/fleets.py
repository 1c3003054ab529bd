"""Fleets of any size from the example's own services, and what these cost: only their number is
made up.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slimbake.config import manifest
from slimbake.config.model import Manifest
from slimbake.fleet import resolve
from slimbake.plan import plan
from slimbake.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet with its costs."""

    plan: Plan
    seconds: dict[str, float]  # of each target
    bytes: dict[str, int]  # compressed, of the layers that each target makes

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(each.service for each in self.plan.services)


def drawn(file: Path, costs: dict[str, Any], count: int, seed: int) -> Case:
    """That many services, each a copy of one that is drawn from the example's; the same seed gives
    the same fleet.
    """
    example = _measured(file, costs)
    chance = random.Random(seed)  # noqa: S311
    chosen = [chance.choice(example.services) for _ in range(count)]
    names = [f"{service.name}-{number:04}" for number, service in enumerate(chosen)]
    copies = tuple(replace(service, name=name) for service, name in zip(chosen, names, strict=True))
    seconds, weights = dict(costs["seconds"]), dict(costs["bytes"])
    for service, name in zip(chosen, names, strict=True):
        seconds |= {name: seconds[service.name], f"{name}-smoke": seconds[f"{service.name}-smoke"]}
        weights[name] = weights[service.name]
    made = plan(resolve(replace(example, services=copies)))
    return Case(
        made, {target.name: seconds.get(target.name, 0.0) for target in made.targets}, weights
    )


def own(file: Path, costs: dict[str, Any]) -> Case:
    """The example itself."""
    made = plan(resolve(_measured(file, costs)))
    return Case(
        made,
        {t.name: costs["seconds"].get(t.name, 0.0) for t in made.targets},
        dict(costs["bytes"]),
    )


def _measured(file: Path, costs: dict[str, Any]) -> Manifest:
    """The example with the services that were measured: of variants, the default."""
    example = manifest(file)
    services = (
        replace(each, variants=each.variants[:1])
        for each in example.services
        if each.name in costs["seconds"]
    )
    return replace(example, services=tuple(services))
