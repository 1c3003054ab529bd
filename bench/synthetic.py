"""Synthetic fleets: packages with a Zipf popularity, what they require, and services that ask for
some of them. The same count gives the same fleet.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

MOST_UNPACKED = 250e6  # bytes of a package
METADATA = 4_000  # bytes that every package has
STACKS = 6


@dataclass(frozen=True, slots=True, order=True)
class Wheel:
    """One package at one version, or the weights of a model."""

    name: str
    host: int  # bytes of its files, unpacked
    registry: int  # bytes compressed


Fleet = Mapping[str, tuple[Wheel, ...]]  # service -> all that it needs


def synthetic(services: int, seed: int = 1) -> Fleet:
    """A fleet of so many services.

    Packages: some more than services grow, by the square root. The n-th is asked for in proportion
    to 1/n, as downloads from an index are, and requires up to five that are more popular than
    itself. Bytes unpacked are log-normal (median 400 kB, sigma 1.9: the largest of 500 is about 200
    MB), compressed a fifth to a half of that. A service asks for two to ten packages; one in three
    asks for one of six heavy stacks (300 MB to 1 GB) as well, and half of these have one of a few
    models' weights, 20 to 400 MB, which compress little.
    """
    dice = random.Random(f"{seed}:{services}")  # noqa: S311
    market = _Market(dice, packages=120 + int(20 * math.sqrt(services)), models=3 + services // 40)
    fleet = {}
    for number in range(services):
        wanted = market.asked_for()
        fleet[f"s{number:04}"] = market.with_requirements(wanted)
    return fleet


class _Market:
    """All packages that services choose from."""

    def __init__(self, dice: random.Random, packages: int, models: int) -> None:
        self._dice = dice
        self._wheels: dict[str, Wheel] = {}
        self._requires: dict[str, list[str]] = {}
        self._packages: list[str] = []  # the most popular first
        self._stacks: list[str] = []
        self._models: list[str] = []
        for rank in range(packages):
            self._add_package(rank)
        for number in range(STACKS):
            self._add_stack(number)
        for number in range(models):
            self._add_model(number)

    def asked_for(self) -> list[str]:
        """What one service asks for."""
        count = self._dice.randint(2, 10)
        wanted = [self._popular(self._packages) for _ in range(count)]
        if self._dice.random() < 1 / 3:
            wanted.append(self._popular(self._stacks))
            if self._dice.random() < 1 / 2:
                wanted.append(self._popular(self._models))
        return wanted

    def with_requirements(self, wanted: list[str]) -> tuple[Wheel, ...]:
        """These, and all that they require."""
        found: set[str] = set()
        pending = list(wanted)
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self._requires[name]
        return tuple(self._wheels[name] for name in sorted(found))

    def _add_package(self, rank: int) -> None:
        unpacked = int(min(self._dice.lognormvariate(math.log(400e3), 1.9), MOST_UNPACKED))
        unpacked += METADATA
        name = f"p{rank:04}"
        self._add(name, unpacked, self._dice.uniform(0.2, 0.5))
        count = min(rank, self._dice.choice((0, 0, 0, 1, 1, 2, 3, 5)))
        self._requires[name] = [self._popular(self._packages) for _ in range(count)]
        self._packages.append(name)

    def _add_stack(self, number: int) -> None:
        name = f"stack{number}"
        unpacked = int(self._dice.uniform(300e6, 1e9))
        self._add(name, unpacked, self._dice.uniform(0.2, 0.4))
        self._requires[name] = [self._popular(self._packages) for _ in range(8)]
        self._stacks.append(name)

    def _add_model(self, number: int) -> None:
        name = f"model{number}"
        self._add(name, int(self._dice.uniform(20e6, 400e6)), 0.9)
        self._requires[name] = []
        self._models.append(name)

    def _add(self, name: str, unpacked: int, compressed: float) -> None:
        self._wheels[name] = Wheel(name, unpacked, int(unpacked * compressed))

    def _popular(self, names: list[str]) -> str:
        """One of these, the n-th in proportion to 1/n."""
        rank = int(math.exp(self._dice.random() * math.log(len(names) + 1))) - 1
        return names[min(rank, len(names) - 1)]
