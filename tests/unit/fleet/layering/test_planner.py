"""The layer planner: what it promises for every fleet, and that its plans stay where they are."""

import random
from dataclasses import replace

import pytest
from bench.layering.compared import one_image_each
from bench.layering.judged import faults
from hypothesis import given, settings
from tests.unit.fleets_of_layers import (
    EIGHT,
    FASTAPI,
    NUMPY,
    TORCH,
    UVICORN,
    bumped,
    fleets,
    previous,
    versioned,
)

from slimbake.fleet.layering.cost import cost, least_cost
from slimbake.fleet.layering.model import Demand, Item, LayerPlan, Needs, demand
from slimbake.fleet.layering.planner import layer_plan
from slimbake.fleet.layering.sharing import Sharing, shared_layers

PLAN = layer_plan(EIGHT)


@settings(max_examples=60)
@given(fleets())
def test_every_service_gets_exactly_its_packages_within_the_limit(of: Demand) -> None:
    for limit in (7, 3, 1):
        made = layer_plan(of, limit)
        assert faults(of, made, limit) == ()
        assert [chain.service for chain in made.chains] == [image.service for image in of.images]
        kept = layer_plan(of, limit, previous(of, made))
        assert faults(of, kept, limit) == ()


@settings(max_examples=60)
@given(fleets())
def test_no_plan_takes_more_than_images_that_share_nothing(of: Demand) -> None:
    ours, none = cost(of, layer_plan(of)), cost(of, one_image_each(of))
    assert ours.host <= none.host
    assert least_cost(of).host <= ours.host and least_cost(of).registry <= ours.registry


def test_the_same_fleet_gives_the_same_plan_in_whichever_order() -> None:
    turned = Demand(tuple(reversed(EIGHT.images)), EIGHT.items)
    assert layer_plan(EIGHT) == PLAN
    assert layer_plan(turned).groups == PLAN.groups


def test_what_is_heavy_and_shared_lies_alone_at_the_bottom() -> None:
    below = {chain.groups[0] for chain in PLAN.chains if any(TORCH.key in g for g in chain.groups)}
    assert below == {frozenset({TORCH.key})}
    assert cost(EIGHT, PLAN).registry == least_cost(EIGHT).registry
    assert PLAN.chain("client").groups == ()


def test_a_fleet_of_nothing_has_no_layers() -> None:
    assert layer_plan(Demand((), ())) == LayerPlan(())
    assert layer_plan(demand([("one", ())])).chain("one").groups == ()
    assert layer_plan(demand([("one", (NUMPY,))])).chain("one").groups == (frozenset({NUMPY.key}),)


def test_one_wheel_under_two_hashes_is_two_layers() -> None:
    others = replace(TORCH, variety="other file")
    made = layer_plan(demand([("a", [TORCH]), ("b", [TORCH]), ("c", [others])]))
    assert made.chain("a").groups == made.chain("b").groups == (frozenset({TORCH.key}),)
    assert made.chain("c").groups == (frozenset({others.key}),)


def test_three_services_that_pin_all_but_torch_otherwise_share_torch() -> None:
    def own(number: int) -> list[Item]:
        return [TORCH, *(replace(each, version=str(number)) for each in (NUMPY, FASTAPI, UVICORN))]

    of = demand((f"s{number}", own(number)) for number in range(3))
    made = cost(of, layer_plan(of))
    assert (made.host, made.registry) == (least_cost(of).host, least_cost(of).registry)


def test_sixteen_unlike_services_come_near_to_the_union_of_their_wheels() -> None:
    for seed in range(4):
        of = versioned(16, seed)
        made, least = cost(of, layer_plan(of)), least_cost(of)
        assert made.registry <= 1.2 * least.registry
        assert made.host <= 1.5 * least.host


def test_a_ninth_service_changes_no_layer_of_the_others() -> None:
    new = Item("scikit-learn", "1.9", 50_000_000, 12_000_000)
    nine = Demand(
        (*EIGHT.images, Needs("ranking", EIGHT.images[1].items | {new.key})), (*EIGHT.items, new)
    )
    after = layer_plan(nine, previous=previous(EIGHT, PLAN))
    assert faults(nine, after) == ()
    assert [after.chain(chain.service) for chain in PLAN.chains] == list(PLAN.chains)
    assert after.groups - PLAN.groups == {frozenset({new.key})}


@pytest.mark.parametrize("gone", [image.service for image in EIGHT.images])
def test_a_service_that_goes_changes_no_layer_of_the_others(gone: str) -> None:
    of = Demand(tuple(i for i in EIGHT.images if i.service != gone), EIGHT.items)
    after = layer_plan(of, previous=previous(EIGHT, PLAN))
    assert list(after.chains) == [chain for chain in PLAN.chains if chain.service != gone]


def test_a_new_version_for_all_changes_the_layer_that_holds_it_and_no_other() -> None:
    newer = replace(NUMPY, version="2.5.0")
    of = demand(
        (i.service, [newer if key == NUMPY.key else EIGHT.by_key[key] for key in sorted(i.items)])
        for i in EIGHT.images
    )
    after = layer_plan(of, previous=previous(EIGHT, PLAN))
    assert after.groups ^ PLAN.groups == {frozenset({NUMPY.key}), frozenset({newer.key})}


@pytest.mark.parametrize("services", [3, 20, 60])
def test_a_bump_in_one_service_changes_its_layers_alone_in_19_of_20_cases(services: int) -> None:
    dice = random.Random(services)  # noqa: S311
    of = versioned(services)
    before = layer_plan(of)
    alone = 0
    for _ in range(40):
        image = dice.choice([image for image in of.images if image.items])
        now = bumped(of, image.service, dice.choice(sorted(image.items)))
        after = layer_plan(now, previous=previous(of, before))
        assert faults(now, after) == ()
        alone += all(
            c == before.chain(c.service) for c in after.chains if c.service != image.service
        )
    assert alone >= 38


def test_the_history_of_one_service_moves_no_other_and_stays_near_the_best_plan() -> None:
    of, dice = versioned(20), random.Random(7)  # noqa: S311
    plan = layer_plan(of)
    for _ in range(60):
        image = dice.choice(of.images)
        newer = bumped(of, image.service, dice.choice(sorted(image.items)))
        plan, of = layer_plan(newer, previous=previous(of, plan)), newer
    fresh, now = cost(of, layer_plan(of)), cost(of, plan)
    assert now.host + now.registry <= 1.06 * (fresh.host + fresh.registry)


def test_a_bad_plan_is_left_where_that_saves_much() -> None:
    bad = {chain.service: chain.groups for chain in one_image_each(EIGHT).chains}
    assert layer_plan(EIGHT, previous=bad) == PLAN


def test_another_limit_than_the_earlier_plan_had_is_kept() -> None:
    assert faults(EIGHT, layer_plan(EIGHT, 2, previous(EIGHT, PLAN)), 2) == ()


@pytest.mark.timeout(120)  # it takes seconds; a step for each pair of services, minutes
def test_a_thousand_services_are_planned() -> None:
    of = versioned(1_000)
    plan = layer_plan(of)
    shared_layers(of, plan, Sharing())
    assert faults(of, plan) == ()
