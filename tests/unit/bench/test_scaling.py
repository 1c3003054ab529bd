"""bench/scale.py: what it says of the split has to be possible."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.scaling.fleets import Case, drawn, own
from bench.scaling.simulated import simulated
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
COSTS = json.loads((ROOT / "bench/scaling/example.json").read_text())
SMALL = {count: drawn(ROOT / "services.yaml", COSTS, count, seed=count) for count in (1, 5, 20)}
EXAMPLE = own(ROOT / "services.yaml", COSTS)


@given(st.sampled_from([*SMALL.values(), EXAMPLE]), st.integers(1, 24))
def test_no_makespan_is_below_a_bound_and_closer_bounds_are_closer(case: Case, nodes: int) -> None:
    found = simulated(case, nodes)
    assert found.chain <= found.bound <= found.granular <= found.makespan + 1e-6
    assert simulated(case, nodes, rate=1e6).makespan >= found.makespan


def test_one_node_does_all_work_once_and_pulls_nothing() -> None:
    found = simulated(EXAMPLE, 1)
    used = {
        target.name
        for name in EXAMPLE.services
        for target in EXAMPLE.plan.needed((name, f"{name}-smoke"))
    }
    assert found.makespan == pytest.approx(sum(EXAMPLE.seconds[name] for name in used))
    assert (found.pushed, found.pulled) == (sum(COSTS["bytes"].values()), 0)


def test_the_same_seed_gives_the_same_fleet_and_another_another() -> None:
    fleets = [drawn(ROOT / "services.yaml", COSTS, 20, seed).services for seed in (1, 1, 2)]
    assert fleets[0] == fleets[1] != fleets[2]
