"""The layer planner: what it promises for every fleet, and that its plans stay where they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.layering.compared import common_base, one_image_each
from bench.layering.exact import best
from bench.layering.fleets import synthetic, tiny
from bench.layering.judged import bytes_moved, faults
from hypothesis import given, settings
from tests.unit.fleets_of_layers import EIGHT, MODEL, NUMPY, TORCH, fleets

from slimbake.fleet.layering.cost import cost, least_cost
from slimbake.fleet.layering.model import (
    Demand,
    Item,
    LayerLimits,
    LayerPlan,
    Needs,
    Prices,
    demand,
)
from slimbake.fleet.layering.planner import layer_plan
from slimbake.fleet.layering.space import Space

PLAN = layer_plan(EIGHT)


def some(of: Demand, *services: str) -> Demand:
    return Demand(tuple(image for image in of.images if image.service in services), of.items)


@settings(max_examples=30)
@given(fleets())
def test_every_service_gets_exactly_its_items_within_the_limit(of: Demand) -> None:
    for limits in (LayerLimits(), LayerLimits(3, 0)):
        made = layer_plan(of, limits)
        assert faults(of, made, limits) == ()
        assert cost(of, made).waste == 0
        assert [chain.service for chain in made.chains] == [image.service for image in of.images]


@settings(max_examples=20)
@given(fleets())
def test_no_simple_rule_is_better(of: Demand) -> None:
    of = Demand(of.images, tuple(replace(item, kind="package") for item in of.items))
    ours = cost(of, layer_plan(of)).value(Prices())
    for other in (one_image_each(of), common_base(of)):
        assert ours <= cost(of, other).value(Prices()) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_a_small_fleet_gets_the_best_plan_there_is(seed: int) -> None:
    space = Space(tiny(seed, services=4, items=5), Prices(), LayerLimits(3, 0))
    ours = space.paths(layer_plan(space.fleet, space.limits))
    assert space.value(ours) <= space.value(best(space, ours)) * 1.02


def test_the_same_fleet_gives_the_same_plan_in_whichever_order() -> None:
    turned = Demand(tuple(reversed(EIGHT.images)), EIGHT.items)
    assert layer_plan(EIGHT) == PLAN
    assert cost(EIGHT, PLAN).value(Prices()) == cost(turned, layer_plan(turned)).value(Prices())


def test_what_all_share_lies_below_and_what_is_heavy_alone() -> None:
    made = PLAN
    assert {frozenset({TORCH.key}), frozenset({NUMPY.key}), frozenset({MODEL.key})} <= made.groups
    chains = {
        chain.groups[:3] for chain in made.chains if TORCH.key in frozenset().union(*chain.groups)
    }
    assert len(chains) == 1
    assert cost(EIGHT, made).host == least_cost(EIGHT).host
    assert made.chain("client").groups == ()


def test_a_fleet_of_nothing_has_no_layers() -> None:
    assert layer_plan(Demand((), ())) == LayerPlan(())
    assert layer_plan(demand([("one", ())])).chain("one").groups == ()
    assert layer_plan(demand([("one", (NUMPY,))])).chain("one").groups == (frozenset({NUMPY.key}),)


def test_weights_that_do_not_fit_the_limit_are_an_error() -> None:
    of = demand([("one", [TORCH, MODEL])])
    with pytest.raises(ValueError, match="no plan has at most 1 layers for items"):
        layer_plan(of, LayerLimits(4, 3))


def test_a_ninth_service_with_new_packages_changes_no_layer() -> None:
    before = PLAN
    new = Item("scikit-learn", "1.9", 50_000_000, 12_000_000)
    ninth = Needs("ranking", EIGHT.images[1].items | {new.key})
    nine = Demand((*EIGHT.images, ninth), (*EIGHT.items, new))
    after = layer_plan(nine, previous=before)
    assert faults(nine, after, LayerLimits()) == ()
    assert [after.chain(chain.service) for chain in before.chains] == list(before.chains)
    assert after.groups - before.groups == {frozenset({new.key})}


@pytest.mark.parametrize("gone", [image.service for image in EIGHT.images])
def test_a_service_that_goes_changes_no_layer_of_the_others(gone: str) -> None:
    before = PLAN
    seven = some(EIGHT, *(image.service for image in EIGHT.images if image.service != gone))
    after = layer_plan(seven, previous=before)
    assert [after.chain(chain.service) for chain in before.chains if chain.service != gone] == list(
        after.chains
    )


def test_a_new_version_changes_the_layer_that_holds_it_and_no_other() -> None:
    before = PLAN
    newer = replace(NUMPY, version="2.5.0")
    of = demand(
        (
            image.service,
            [newer if key == NUMPY.key else EIGHT.by_key[key] for key in sorted(image.items)],
        )
        for image in EIGHT.images
    )
    after = layer_plan(of, previous=before)
    assert after.groups ^ before.groups == {frozenset({NUMPY.key}), frozenset({newer.key})}


def test_without_the_earlier_plan_more_would_move() -> None:
    """Else a plan would be stable by chance, and the tests above could not fail."""
    case = synthetic(20)
    before = layer_plan(case.fleet)
    fewer = Demand(case.fleet.images[3:], case.fleet.items)
    kept, again = layer_plan(fewer, previous=before), layer_plan(fewer)
    assert bytes_moved(fewer, kept, before) < bytes_moved(fewer, again, before)
    assert faults(fewer, kept, LayerLimits()) == ()


def test_a_bad_plan_is_left_where_that_saves_more_than_it_moves() -> None:
    assert layer_plan(EIGHT, previous=one_image_each(EIGHT)) == PLAN


def test_another_limit_than_the_earlier_plan_had_is_kept() -> None:
    after = layer_plan(EIGHT, LayerLimits(5, 3), previous=PLAN)
    assert faults(EIGHT, after, LayerLimits(5, 3)) == ()
