"""The layers of a fleet: one for each heavy wheel, one for the lighter rest of each lock."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fleets import COMMON, asks, fleet, locked, pinned, service

from slimbake.config.model import BaseEntry, Bytecode, LayersEntry, Removal, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.host.sources import Source
from slimbake.layers import HEAVY, layering
from slimbake.layers.model import Layer
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin

MB = 1_000_000
TORCH, NUMPY = pinned("torch", size=160 * MB), pinned("numpy", size=17 * MB)
SIX, RICH = pinned("six"), pinned("rich")
AMD64, ARM64 = 'platform_machine == "x86_64"', 'platform_machine == "aarch64"'


def one(*pins: Pin, **said: Any) -> dict[str, Layer]:
    """The layers of a fleet of one service, by their packages."""
    api = service("api", requirements=asks("x"), **said)
    found = layering(fleet(api), locked(api=pins))
    return {" ".join(pin.name for pin in layer.pins): layer for layer in found.layers}


def chains(made: Fleet, locks: Locks) -> dict[str, str]:
    """The packages of each layer of each scope, bottom first."""
    found = layering(made, locks)
    layers = {layer.name: "+".join(pin.name for pin in layer.pins) for layer in found.layers}
    return {
        scope: " ".join(layers.get(link.target, link.target) for link in links)
        for scope, links in found.chains.items()
    }


# --- what is in a layer


def test_each_heavy_wheel_is_a_layer_and_the_rest_is_one_more() -> None:
    found = one(TORCH, NUMPY, SIX, RICH)
    assert {*found} == {"torch", "numpy", "rich six"}
    assert found["rich six"].name == "layer_api"
    assert found["torch"].name == f"layer_torch_{found['torch'].key[7:15]}"


@pytest.mark.parametrize(("said", "build"), [(None, "cpu"), ("cuda", ""), ("cu128", "")])
def test_a_layer_knows_the_build_of_torch_that_its_wheels_are_of(
    said: str | None, build: str
) -> None:
    found = one(replace(TORCH, version="2.13.0+cpu"), NUMPY, torch=said)
    assert (found["torch"].torch, found["numpy"].torch) == (build, "")


UNKNOWN = replace(TORCH, wheels=(replace(TORCH.wheels[0], bytes=None),))
BUILT = Pin("old", "1", built="old-1.tar.gz#sha256=1")


@pytest.mark.parametrize(
    ("pins", "layers"),
    [
        ((pinned("a", size=HEAVY), pinned("b", size=HEAVY - 1), SIX), {"a", "b six"}),
        ((UNKNOWN, BUILT), {"old torch"}),
        ((TORCH,), {"torch"}),
    ],
    ids=["the bound is heavy", "size unknown, and built here", "no rest"],
)
def test_which_wheels_have_a_layer_of_their_own(pins: tuple[Pin, ...], layers: set[str]) -> None:
    assert {*one(*pins)} == layers


def test_a_heavy_wheel_of_one_platform_is_not_built_for_another() -> None:
    source = Source("old", "1", "old-1.tar.gz", "0" * 64)
    api = service("api", requirements=asks("old"))
    pins = (
        replace(pinned("old", size=HEAVY), marker=AMD64),
        Pin("old", "1", marker=ARM64, built=source.origin),
    )
    found = layering(fleet(api, sources={"api": (source,)}), locked(api=pins))
    wheels = {layer.pins[0].marker: layer.wheels for layer in found.layers}
    assert wheels == {AMD64: (), ARM64: ("wheel-old",)}


def test_what_was_never_locked_is_one_layer_of_nothing() -> None:
    found = layering(fleet(service("api", requirements=asks("x"))), Locks({}))
    assert [(layer.name, layer.pins) for layer in found.layers] == [("layer_api", ())]


def test_a_service_that_asks_for_nothing_has_no_layer() -> None:
    assert layering(fleet(service("api")), Locks({})).chains == {"api": ()}


def test_packages_of_the_repository_are_in_no_layer_of_packages() -> None:
    api = service("api", requirements=asks(packages=(COMMON,)))
    assert layering(fleet(api), locked(api=[])).layers == ()


def test_a_base_and_its_services_have_their_own_layers() -> None:
    web = BaseEntry("web", requirements=asks("x"))
    made = fleet(service("api", base="web", requirements=asks("y")), bases=(web,))
    assert chains(made, locked(base_web=[SIX], api=[RICH])) == {"base-web": "six", "api": "rich"}


def test_a_wheel_that_is_built_here_comes_from_its_target() -> None:
    source = Source("old", "1", "old-1.tar.gz", "0" * 64)
    made = fleet(service("api", requirements=asks("old")), sources={"api": (source,)})
    found = layering(made, locked(api=[Pin("old", "1", built=source.origin)]))
    assert found.layers[0].wheels == ("wheel-old",)


def test_of_a_package_that_differs_by_platform_no_pin_is_lost() -> None:
    pins = [replace(NUMPY, marker=AMD64), replace(pinned("numpy", "2"), marker=ARM64)]
    found = layering(fleet(service("api", requirements=asks("x"))), locked(api=pins))
    assert sorted(pin for layer in found.layers for pin in layer.pins) == sorted(pins)


# --- the limit


@pytest.mark.parametrize(
    ("limit", "layers"),
    [
        (4, {"torch", "scipy", "numpy", "six"}),
        (3, {"torch", "scipy", "numpy six"}),
        (1, {"numpy scipy six torch"}),
    ],
)
def test_beyond_the_limit_the_smallest_join_the_rest(limit: int, layers: set[str]) -> None:
    made = fleet(service("api", requirements=asks("x")), layers=LayersEntry(limit=limit))
    scipy = pinned("scipy", size=35 * MB)
    found = layering(made, locked(api=[TORCH, scipy, NUMPY, SIX])).layers
    assert {" ".join(pin.name for pin in layer.pins) for layer in found} == layers


def test_a_base_leaves_room_for_the_rests_of_what_stands_on_it() -> None:
    bases = (
        BaseEntry("web", requirements=asks("x")),
        BaseEntry("ml", extends="web", requirements=asks("x")),
    )
    api = service("api", base="ml", requirements=asks("x"))
    made = fleet(api, bases=bases, layers=LayersEntry(limit=4))
    heavy = [pinned(f"p{number}", size=number * MB) for number in range(1, 4)]
    found = chains(made, locked(base_web=[*heavy, SIX], base_ml=[TORCH, RICH], api=[NUMPY]))
    assert found == {"base-web": "p3 p1+p2+six", "base-ml": "rich+torch", "api": "numpy"}


# --- the key


def key(pin: Pin = TORCH, **said: Any) -> str:
    """The key of the layer of one wheel."""
    entry = {name: said.pop(name) for name in ("optimize", "removal", "bytecode") if name in said}
    api = service("api", requirements=asks("x"), **entry)
    (layer,) = layering(fleet(api, **said), locked(api=[pin])).layers
    return layer.key


OTHERS: Mapping[str, str] = {
    "the wheel": key(pinned("torch", size=161 * MB)),
    "its version": key(replace(TORCH, version="2")),
    "the platforms that have it": key(replace(TORCH, marker=AMD64)),
    "the rules": key(optimize=False),
    "what is removed": key(removal=Removal(("torch/test/**",))),
    "which modules have bytecode": key(bytecode=Bytecode("none")),
    "Python": key(python="3.12"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_the_key_of_a_layer_depends_on(other: str) -> None:
    assert OTHERS[other] != key()


def test_the_key_of_a_layer_depends_on_nothing_else() -> None:
    same = {
        key(),
        key(project="other", registry="registry.example.com/other"),
        key(layers=LayersEntry(limit=8)),
        key(bytecode=Bytecode(more=("torch/fx/**",))),
        key(replace(TORCH, via=("transformers",))),
        key(torch="cpu"),
    }
    assert len(same) == 1


def test_two_repositories_have_the_layers_of_their_equal_wheels_in_common() -> None:
    ml = BaseEntry("ml", requirements=asks("torch"))
    first = fleet(service("embed", base="ml"), bases=(ml,), project="first")
    second = fleet(*(service(name, requirements=asks("x")) for name in ("rank", "api")))
    ours = layering(first, locked(base_ml=[TORCH, NUMPY, SIX])).layers
    theirs = layering(second, locked(rank=[RICH, NUMPY, TORCH], api=[NUMPY])).layers
    common = {(layer.name, layer.key) for layer in ours} & {(la.name, la.key) for la in theirs}
    assert {name.split("_")[1] for name, _ in common} == {"torch", "numpy"}


def test_services_share_the_layers_of_equal_wheels_and_equal_rests() -> None:
    made = fleet(*(service(name, requirements=asks("x")) for name in "abc"))
    found = layering(made, locked(a=[TORCH, SIX], b=[TORCH, SIX], c=[NUMPY, SIX]))
    assert len(found.layers) == 3
    assert found.chains["a"] == found.chains["b"] != found.chains["c"]
    assert found.chains["c"][-1].target == "layer_a", "it is called after the first that has it"


def test_without_optimisation_all_modules_have_bytecode() -> None:
    assert one(TORCH, optimize=False)["torch"].bytecode == "all"
    assert one(TORCH, optimize=False, bytecode=Bytecode("none"))["torch"].bytecode == "none"


# --- the order


def test_heavy_layers_are_linked_and_what_is_on_them_is_copied() -> None:
    found = layering(fleet(service("api", requirements=asks("x"))), locked(api=[SIX, TORCH, NUMPY]))
    links = [(link.target.split("_")[1], link.linked) for link in found.chains["api"]]
    assert links == [("torch", True), ("numpy", True), ("api", False)]


def test_what_most_services_have_lies_lowest() -> None:
    made = fleet(*(service(name, requirements=asks("x")) for name in "abc"))
    locks = locked(a=[TORCH, NUMPY], b=[NUMPY, SIX], c=[NUMPY, TORCH])
    assert chains(made, locks) == {"a": "torch numpy", "b": "numpy six", "c": "torch numpy"}


def test_weights_have_their_place_among_the_layers() -> None:
    model = WeightsEntry("package", "a-model")
    services = (service(name, requirements=asks("x"), weights=model) for name in "ab")
    locks = locked(a=[TORCH], b=[NUMPY], weights_a_model=[pinned("a-model", size=90 * MB)])
    found = layering(fleet(*services), locks).chains
    assert [link.weights for link in found["a"]] == [True, False]
    assert found["a"][0] == found["b"][0]


def test_what_exports_models_shares_the_layers_of_its_base_in_an_order_of_its_own() -> None:
    ml = BaseEntry("ml", requirements=asks("torch"))
    model = WeightsEntry("package", "a-model")
    made = fleet(service("rank", base="ml", weights=model, inference="onnx"), bases=(ml,))
    locks = locked(base_ml=[TORCH, NUMPY], base_ml_export=[TORCH, NUMPY, SIX], base_ml_onnx=[NUMPY])
    assert chains(made, locks) == {
        "base-ml": "numpy torch",
        "base-ml-export": "torch numpy six",
        "base-ml-onnx": "numpy",
        "rank": "weights-a-model-onnx-fp32",
    }
    assert len(layering(made, locks).layers) == 3
