"""Fleets for the tests of the layer planner."""

from __future__ import annotations

from hypothesis import strategies as st

from slimbake.fleet.layering.model import Chain, Demand, Item, LayerPlan, demand

TORCH = Item("torch", "2.13.0", 600_000_000, 160_000_000)
NUMPY = Item("numpy", "2.4.6", 60_000_000, 16_000_000)
FASTAPI = Item("fastapi", "0.165.0", 2_000_000, 400_000)
UVICORN = Item("uvicorn", "0.54.0", 1_000_000, 200_000)
MODEL = Item("weights-minilm", "", 90_000_000, 80_000_000, kind="weights")
BM25 = Item("bm25s", "0.3.16", 500_000, 150_000)
PROMETHEUS = Item("prometheus-client", "0.26.0", 500_000, 160_000)
WEB = (FASTAPI, UVICORN)
ML = (*WEB, TORCH, NUMPY)

EIGHT = demand(
    {
        "api": WEB,
        "embedding": (*ML, MODEL),
        "storage": WEB,
        "nlg": ML,
        "hybrid": (*ML, MODEL, BM25),
        "control": (*WEB, PROMETHEUS),
        "bulk-ingester": WEB,
        "client": (),
    }.items()
)
"""As the worked example, less most of its packages."""


@st.composite
def fleets(draw: st.DrawFn) -> Demand:
    """Up to six services that need some of up to seven items, one of them perhaps a model's
    weights.
    """
    host = st.integers(1, 1_000_000)
    items = [
        Item(f"p{number}", "1", draw(host), draw(host), draw(st.sampled_from((0.5, 1.0, 4.0))))
        for number in range(draw(st.integers(1, 6)))
    ]
    if draw(st.booleans()):
        items.append(Item("model", "", draw(host), draw(host), kind="weights"))
    some = st.lists(st.sampled_from(items), unique=True)
    return demand((f"s{number}", draw(some)) for number in range(draw(st.integers(1, 6))))


@st.composite
def plans(draw: st.DrawFn, of: Demand) -> LayerPlan:
    """Any layers that hold what each service needs, in any order."""
    chains = []
    for image in of.images:
        rest = draw(st.permutations(sorted(image.items)))
        groups = []
        while rest:
            count = draw(st.integers(1, len(rest)))
            groups.append(frozenset(rest[:count]))
            rest = rest[count:]
        chains.append(Chain(image.service, tuple(groups)))
    return LayerPlan(tuple(chains))
