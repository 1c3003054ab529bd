"""What a change of a fleet means, and a plan as bases."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.fleets_of_layers import BM25, EIGHT, FASTAPI, MODEL, TORCH, UVICORN

from slimbake.fleet.layering.bases import as_layer_plan, planned_bases
from slimbake.fleet.layering.model import Chain, Demand, LayerPlan, demand
from slimbake.fleet.layering.planner import layer_plan

OLD = layer_plan(EIGHT)
NEW_TORCH = replace(TORCH, version="2.14.0", host=TORCH.host + 7, registry=TORCH.registry + 5)


def with_new_torch() -> Demand:
    return demand(
        (
            image.service,
            [NEW_TORCH if key == TORCH.key else EIGHT.by_key[key] for key in sorted(image.items)],
        )
        for image in EIGHT.images
    )


def test_layers_that_several_share_are_bases_with_their_parents_first() -> None:
    made = planned_bases(EIGHT, OLD)
    names = [base.name for base in made.bases]
    assert len(set(names)) == len(names)
    assert {"fastapi", "uvicorn", "torch", "numpy", "weights-minilm"} == set(names)
    for at, base in enumerate(made.bases):
        assert base.parent in ("", *names[:at])
    stands = {stand.service: stand for stand in made.stands}
    assert stands["hybrid"].base == "weights-minilm"
    assert stands["hybrid"].own == (frozenset({BM25.key}),)
    assert stands["client"] == type(stands["client"])("client", "", ())


def test_bases_and_own_layers_are_the_plan_again() -> None:
    made = planned_bases(EIGHT, OLD)
    assert as_layer_plan(made) == OLD


def test_a_base_keeps_its_name_when_versions_change_and_most_of_it_stays() -> None:
    before = planned_bases(EIGHT, OLD)
    after = with_new_torch()
    renamed = replace(
        before, bases=tuple(replace(base, name=f"my-{base.name}") for base in before.bases)
    )
    found = planned_bases(after, layer_plan(after, previous=OLD), renamed)
    assert {base.name for base in found.bases} == {base.name for base in renamed.bases}


def test_what_a_service_has_alone_is_one_layer_of_packages_and_its_weights() -> None:
    alone = (frozenset({TORCH.key}), frozenset({MODEL.key}), frozenset({BM25.key}))
    web = frozenset({FASTAPI.key})
    of = demand([("a", [FASTAPI, TORCH, MODEL, BM25]), ("b", [FASTAPI])])
    made = planned_bases(of, LayerPlan((Chain("a", (web, *alone)), Chain("b", (web,)))))
    assert [base.name for base in made.bases] == ["fastapi"]
    assert made.stands[0].own == (alone[1], alone[0] | alone[2])
    assert as_layer_plan(made).chain("a").groups == (web, alone[1], alone[0] | alone[2])


def test_a_base_on_which_one_service_is_left_stays_while_its_items_do() -> None:
    web, torch = frozenset({FASTAPI.key}), frozenset({TORCH.key})
    two = demand([("a", [FASTAPI, TORCH]), ("b", [FASTAPI, UVICORN])])
    before = planned_bases(
        two, LayerPlan((Chain("a", (web, torch)), Chain("b", (web, frozenset({UVICORN.key})))))
    )
    one = demand([("a", [FASTAPI, TORCH])])
    plan = LayerPlan((Chain("a", (web, torch)),))
    assert [base.name for base in planned_bases(one, plan).bases] == []
    after = planned_bases(one, plan, before)
    assert after.bases == before.bases
    assert after.stands == before.stands[:1]
    turned = LayerPlan((Chain("a", (torch, web)),))
    assert planned_bases(one, turned, before).bases == (), "it stands elsewhere"


def test_a_second_base_of_one_heaviest_item_gets_a_number() -> None:
    torch, web, more = (frozenset({item.key}) for item in (TORCH, FASTAPI, UVICORN))
    of = demand(
        [
            ("a", [TORCH]),
            ("b", [TORCH]),
            ("c", [FASTAPI, TORCH]),
            ("d", [FASTAPI, TORCH]),
            ("e", [UVICORN, MODEL]),
        ]
    )
    plan = LayerPlan(
        (
            Chain("a", (torch,)),
            Chain("b", (torch,)),
            Chain("c", (web, torch)),
            Chain("d", (web, torch)),
            Chain("e", (more, frozenset({MODEL.key}))),
        )
    )
    assert [(base.name, base.parent) for base in planned_bases(of, plan).bases] == [
        ("torch", ""),
        ("fastapi", ""),
        ("torch-2", "fastapi"),
    ]
