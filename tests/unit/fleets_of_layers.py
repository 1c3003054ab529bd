"""Fleets for the tests of the layer planner."""

import random
from dataclasses import replace

from bench.layering.fleets import synthetic
from hypothesis import strategies as st

from slimbake.fleet.layering.model import Demand, Item, LayerPlan, demand, shared_groups
from slimbake.fleet.layering.planner import Previous

TORCH = Item("torch", "2.13.0", 600_000_000, 160_000_000)
NUMPY = Item("numpy", "2.4.6", 60_000_000, 16_000_000)
FASTAPI = Item("fastapi", "0.165.0", 9_000_000, 2_000_000)
UVICORN = Item("uvicorn", "0.54.0", 1_000_000, 200_000)
BM25 = Item("bm25s", "0.3.16", 500_000, 150_000)
WEB = (FASTAPI, UVICORN)
ML = (*WEB, TORCH, NUMPY)

EIGHT = demand(
    {
        "api": WEB,
        "embedding": ML,
        "storage": WEB,
        "nlg": ML,
        "hybrid": (*ML, BM25),
        "control": WEB,
        "bulk-ingester": WEB,
        "client": (),
    }.items()
)
"""As the worked example, less most of its packages."""


@st.composite
def fleets(draw: st.DrawFn) -> Demand:
    """Up to six services that need some of up to seven items."""
    size = st.integers(1, 100_000_000)
    count = draw(st.integers(1, 7))
    items = [Item(f"p{number}", "1", draw(size), draw(size)) for number in range(count)]
    some = st.lists(st.sampled_from(items), unique=True)
    return demand((f"s{number}", draw(some)) for number in range(draw(st.integers(1, 6))))


def versioned(services: int, seed: int = 1) -> Demand:
    """A fleet of services that have locks of their own: of each package that one needs, three in ten
    times another version than most have.
    """
    dice = random.Random(seed)  # noqa: S311
    fleet = synthetic(services)

    def own(key: str) -> Item:
        item = fleet.by_key[key]
        return replace(item, version=str(dice.randint(2, 4))) if dice.random() < 0.3 else item

    return demand((i.service, [own(key) for key in sorted(i.items)]) for i in fleet.images)


def bumped(fleet: Demand, service: str, key: str) -> Demand:
    """The fleet with another version of one package in one service."""
    newer = replace(fleet.by_key[key], version="newer")
    return demand(
        (
            image.service,
            [
                newer if (image.service, each) == (service, key) else fleet.by_key[each]
                for each in sorted(image.items)
            ],
        )
        for image in fleet.images
    )


def previous(fleet: Demand, plan: LayerPlan) -> Previous:
    """The layers of a plan that several images have."""
    shared = shared_groups(fleet, plan)
    return {
        chain.service: tuple(group for group in chain.groups if group in shared)
        for chain in plan.chains
    }
