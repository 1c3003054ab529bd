"""Plans as layers with names."""

from dataclasses import replace

from tests.unit.fleets_of_layers import BM25, EIGHT, FASTAPI, NUMPY, TORCH, UVICORN

from slimbake.fleet.layering.model import Chain, Demand, Group, Item, LayerPlan, demand
from slimbake.fleet.layering.planner import layer_plan
from slimbake.fleet.layering.sharing import SharedLayer, Sharing, shared_layers

NONE = Sharing()


def group(*items: Item) -> Group:
    return frozenset(item.key for item in items)


def plan(**chains: tuple[Group, ...]) -> LayerPlan:
    return LayerPlan(tuple(Chain(name, groups) for name, groups in chains.items()))


def fleet(**needs: list[Item]) -> Demand:
    return demand(needs.items())


def test_layers_that_several_share_have_names_with_those_below_before_them() -> None:
    found = shared_layers(EIGHT, layer_plan(EIGHT), NONE)
    names = [layer.name for layer in found.layers]
    assert len(set(names)) == len(names) and {"torch", "fastapi"} <= {*names}
    for at, layer in enumerate(found.layers):
        assert layer.below in ("", *names[:at])
    assert "client" not in found.services


def test_what_a_service_has_alone_is_no_layer_of_several() -> None:
    of = fleet(a=[TORCH, BM25], b=[TORCH, UVICORN])
    found = shared_layers(
        of, plan(a=(group(TORCH), group(BM25)), b=(group(TORCH), group(UVICORN))), NONE
    )
    assert found == Sharing(
        (SharedLayer("torch", "", frozenset({"torch"}), "torch"),), {"a": "torch", "b": "torch"}
    )


def test_equal_layers_in_two_places_have_one_lock() -> None:
    of = fleet(a=[TORCH, NUMPY], b=[NUMPY], c=[TORCH], d=[NUMPY])
    found = shared_layers(
        of,
        plan(
            a=(group(TORCH), group(NUMPY)), b=(group(NUMPY),), c=(group(TORCH),), d=(group(NUMPY),)
        ),
        NONE,
    )
    assert [(each.name, each.below, each.lock) for each in found.layers] == [
        ("torch", "", "torch"),
        ("numpy", "", "numpy"),
        ("numpy-2", "torch", "numpy"),
    ]


def test_other_versions_of_one_package_have_locks_of_their_own() -> None:
    newer = replace(NUMPY, version="3")
    of = fleet(a=[NUMPY], b=[NUMPY], c=[newer], d=[newer])
    found = shared_layers(of, plan(**{i.service: (i.items,) for i in of.images}), NONE)
    assert [(each.name, each.lock) for each in found.layers] == [
        ("numpy", "numpy"),
        ("numpy-2", "numpy-2"),
    ]


def test_a_layer_keeps_its_name_when_versions_change_and_most_of_it_stays() -> None:
    of = fleet(a=[TORCH, UVICORN], b=[TORCH, UVICORN])
    before = Sharing(
        (SharedLayer("mine", "", frozenset({"torch", "numpy"}), "mine"),), {"a": "mine"}
    )
    found = shared_layers(of, plan(a=(group(TORCH, UVICORN),), b=(group(TORCH, UVICORN),)), before)
    assert [layer.name for layer in found.layers] == ["mine"]


def test_a_layer_on_which_one_service_is_left_stays_while_its_packages_do() -> None:
    of = fleet(a=[TORCH, FASTAPI])
    before = Sharing((SharedLayer("torch", "", frozenset({"torch"}), "torch"),), {"a": "torch"})
    alone = plan(a=(group(TORCH), group(FASTAPI)))
    assert shared_layers(of, alone, NONE).layers == ()
    assert shared_layers(of, alone, before, [group(TORCH)]) == before


def test_the_layers_of_some_services_are_those_that_these_stand_on() -> None:
    below = SharedLayer("torch", "", frozenset({"torch"}), "torch")
    above = SharedLayer("numpy", "torch", frozenset({"numpy"}), "numpy")
    both = Sharing((below, above), {"a": "torch", "b": "numpy"})
    assert both.of({"a"}) == Sharing((below,), {"a": "torch"})
    assert both.of({"b"}).layers == (below, above)
    assert both.chain("numpy") == (below, above) and both.chain("") == ()
