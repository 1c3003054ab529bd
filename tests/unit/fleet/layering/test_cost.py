"""What a plan of layers costs, counted again in the plainest way."""

from __future__ import annotations

import pytest
from bench.layering.judged import bytes_moved, faults
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fleets_of_layers import BM25, EIGHT, FASTAPI, MODEL, NUMPY, TORCH, fleets, plans

from slimbake.fleet.layering.cost import cost, least_cost
from slimbake.fleet.layering.model import Chain, Demand, LayerLimits, LayerPlan, Prices, demand
from slimbake.fleet.layering.space import Space

A, B, C = (frozenset({item.key}) for item in (TORCH, NUMPY, FASTAPI))


def plan(**chains: tuple[frozenset[str], ...]) -> LayerPlan:
    return LayerPlan(tuple(Chain(service, groups) for service, groups in chains.items()))


@given(st.data())
def test_every_byte_is_counted_where_it_lies(data: st.DataObject) -> None:
    of = data.draw(fleets())
    made = data.draw(plans(of))
    counted = cost(of, made)
    item = of.by_key

    places = []  # every layer with all that lies below it: what a host stores
    for chain in made.chains:
        for depth in range(1, len(chain.groups) + 1):
            if chain.groups[:depth] not in places:
                places.append(chain.groups[:depth])
    assert counted.host == sum(item[key].host for place in places for key in place[-1])

    blobs = []
    for chain in made.chains:
        blobs += [group for group in chain.groups if group not in blobs]
    assert counted.registry == sum(item[key].registry for blob in blobs for key in blob)

    used = [item[key] for key in {key for image in of.images for key in image.items}]
    pulled = sum(
        each.rate * sum(item[k].registry for b in blobs if each.key in b for k in b)
        for each in used
    )
    assert counted.pulled == pytest.approx(pulled / (sum(each.rate for each in used) or 1))
    assert counted.waste == 0
    assert counted.layers == max(len(chain.groups) for chain in made.chains)


@given(st.data())
def test_no_plan_without_waste_costs_less_than_the_lower_bound(data: st.DataObject) -> None:
    of = data.draw(fleets())
    counted, least = cost(of, data.draw(plans(of))), least_cost(of)
    assert counted.host >= least.host
    assert counted.registry >= least.registry
    assert counted.pulled >= least.pulled * (1 - 1e-9)


@given(st.data())
def test_the_search_counts_as_everybody_does(data: st.DataObject) -> None:
    of = data.draw(fleets())
    made = data.draw(plans(of))
    # Of services that need the same, the search knows one, and weights it wants alone.
    of = Demand(tuple({image.items: image for image in of.images}.values()), of.items)
    made = LayerPlan(tuple(made.chain(image.service) for image in of.images))
    space, prices = Space(of, Prices(), LayerLimits(20, 0)), Prices()
    if not faults(of, made, LayerLimits(20, 0)):
        assert space.value(space.paths(made)) == pytest.approx(cost(of, made).value(prices))


def test_the_same_layer_on_two_parents_lies_twice_on_a_host_and_once_on_a_registry() -> None:
    of = demand([("one", [TORCH, NUMPY]), ("two", [TORCH, FASTAPI])])
    counted = cost(of, plan(one=(B, A), two=(C, A)))
    assert counted.host == 2 * TORCH.host + NUMPY.host + FASTAPI.host
    assert counted.registry == TORCH.registry + NUMPY.registry + FASTAPI.registry


def test_an_update_pulls_the_whole_layer() -> None:
    of = demand([("one", [TORCH, NUMPY])])
    apart, together = cost(of, plan(one=(A, B))), cost(of, plan(one=(A | B,)))
    assert apart.pulled == (TORCH.registry + NUMPY.registry) / 2
    assert together.pulled == TORCH.registry + NUMPY.registry


def test_what_an_image_does_not_need_is_waste() -> None:
    of = demand([("one", [TORCH]), ("two", [NUMPY])])
    assert cost(of, plan(one=(A,), two=(A | B,))).waste == TORCH.host


def test_a_new_version_is_no_move_and_another_layer_is() -> None:
    of = demand([("one", [TORCH, NUMPY])])
    earlier = plan(one=(frozenset({"torch==1"}), frozenset({"numpy==1"})))
    assert bytes_moved(of, plan(one=(A, B)), earlier) == 0
    assert bytes_moved(of, plan(one=(A | B,)), earlier) == TORCH.registry + NUMPY.registry


def test_faults_name_what_is_wrong() -> None:
    of = demand([("one", [TORCH, MODEL]), ("two", [BM25])])
    both = frozenset({TORCH.key, MODEL.key})
    assert faults(of, plan(one=(both, A, frozenset())), LayerLimits(3, 1)) == (
        "one has twice torch==2.13.0",
        "one has 3 layers of at most 2",
        "one has weights beside others in a layer",
        "one has an empty layer",
        "no layers for two",
    )
    assert (
        faults(EIGHT, plan(api=()), LayerLimits())[0]
        == "api lacks fastapi==0.165.0, uvicorn==0.54.0"
    )
