"""Synthetic fleets: packages with a Zipf popularity, what they require, and services that ask for
some of them.

The same count gives the same fleet.
"""

from __future__ import annotations

import math
import random

from slimbake.fleet.layering.model import Demand, Item, demand


def synthetic(services: int, seed: int = 1) -> Demand:
    """A fleet of so many services.

    Packages: some more than services grow, by the square root. The n-th is asked for in proportion
    to 1/n, as downloads from an index are, and requires up to five that are more popular than
    itself. Bytes unpacked are log-normal (median 400 kB, sigma 1.9: the largest of 500 is about 200
    MB), compressed a fifth to a half of that. A service asks for two to ten packages; one in three
    asks for one of six heavy stacks (300 MB to 1 GB) as well, and half of these have one of a few
    models' weights, 20 to 400 MB, which compress little.
    """
    dice = random.Random(f"{seed}:{services}")  # noqa: S311
    count = 120 + int(20 * math.sqrt(services))
    items: list[Item] = []
    requires: dict[str, tuple[str, ...]] = {}
    for rank in range(count):
        host = int(min(dice.lognormvariate(math.log(400e3), 1.9), 250e6)) + 4_000
        items.append(Item(f"p{rank:04}", "1", host, int(host * dice.uniform(0.2, 0.5))))
        below = min(rank, dice.choice((0, 0, 0, 1, 1, 2, 3, 5)))
        requires[items[-1].key] = tuple(
            sorted({items[_zipf(dice, rank)].key for _ in range(below)})
        )
    stacks = []
    for number in range(6):
        host = int(dice.uniform(300e6, 1e9))
        stack = Item(f"stack{number}", "1", host, int(host * dice.uniform(0.2, 0.4)))
        stacks.append(stack)
        requires[stack.key] = tuple(sorted({items[_zipf(dice, count)].key for _ in range(8)}))
    models = [_weights(number, dice) for number in range(3 + services // 40)]
    everything = {item.key: item for item in (*items, *stacks, *models)}
    images = []
    for number in range(services):
        wanted = [items[_zipf(dice, count)].key for _ in range(dice.randint(2, 10))]
        if dice.random() < 1 / 3:
            wanted.append(stacks[_zipf(dice, len(stacks))].key)
            if dice.random() < 1 / 2:
                wanted.append(models[_zipf(dice, len(models))].key)
        name = f"s{number:04}"
        images.append((name, [everything[key] for key in sorted(closure(wanted, requires))]))
    return demand(images)


def closure(wanted: list[str], requires: dict[str, tuple[str, ...]]) -> set[str]:
    """Items and all that they require."""
    found: set[str] = set()
    stack = list(wanted)
    while stack:
        key = stack.pop()
        if key not in found:
            found.add(key)
            stack.extend(requires.get(key, ()))
    return found


def _weights(number: int, dice: random.Random) -> Item:
    host = int(dice.uniform(20e6, 400e6))
    return Item(f"model{number}", "", host, int(host * 0.9))


def _zipf(dice: random.Random, count: int) -> int:
    """A rank below `count`, the n-th in proportion to 1/n."""
    return min(int(math.exp(dice.random() * math.log(count + 1))) - 1, count - 1)
