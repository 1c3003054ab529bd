"""What is equal in several locks, as layers."""

from collections.abc import Mapping
from dataclasses import replace

from tests.unit.fleets import asks, fleet, pinned, service

from slimbake.config.model import BaseEntry
from slimbake.fleet.layering.sharing import Sharing
from slimbake.lock.auto import alignment, arrange, cut
from slimbake.lock.locks import layers_text, parse_layers
from slimbake.lock.model import Pin

TORCH = pinned("torch", "2", 190_000_000)
NUMPY = pinned("numpy", "2", 18_000_000, ("torch",))
NONE = Sharing()


def shared(pins: Mapping[str, tuple[Pin, ...]], **said: bool) -> Sharing:
    services = (service(name, requirements=asks("torch"), optimize=said.get(name)) for name in pins)
    return arrange(fleet(*services), pins, NONE, {})


def test_what_is_equal_is_a_layer_and_the_rest_is_each_ones_own() -> None:
    newer = pinned("numpy", "3", 18_000_000)
    pins = {"a": (TORCH, NUMPY), "b": (TORCH, newer), "c": (TORCH, NUMPY)}
    found = shared(pins)
    assert {
        name: [each.name for each in found.chain(top)] for name, top in found.services.items()
    } == {"a": ["torch", "numpy"], "b": ["torch"], "c": ["torch", "numpy"]}
    assert cut(found, pins) == {
        "base-torch": (replace(TORCH, via=()),),
        "base-numpy": (replace(NUMPY, via=()),),
        "a": (),
        "b": (newer,),
        "c": (),
    }
    assert parse_layers(layers_text(found)) == found


def test_a_lock_for_another_platform_shares_what_is_the_same_file_there() -> None:
    here = replace(TORCH.wheels[0], file="torch-2-cp311-cp311-linux_x86_64.whl")
    there = replace(here, file="torch-2-cp311-cp311-linux_aarch64.whl", sha256="e" * 64)
    pure = pinned("django", "5", 8_000_000)
    pins = {
        "a": (replace(TORCH, wheels=(here,)), pure),
        "b": (replace(TORCH, wheels=(there,)), pure),
        "c": (replace(TORCH, wheels=(here, there)), pure),
    }
    assert [layer.packages for layer in shared(pins).layers] == [{"django"}]


def test_a_service_that_is_not_optimised_shares_with_those_that_are_not_either() -> None:
    pins = dict.fromkeys("abcd", (TORCH,))
    found = shared(pins, a=False, b=False)
    assert found.services["a"] == found.services["b"] != found.services["c"] == found.services["d"]


def test_a_service_without_wheels_shares_nothing() -> None:
    assert shared({"a": (), "b": (TORCH,)}) == NONE
    assert arrange(fleet(service("bare")), {}, NONE, {}) == NONE


def test_little_is_no_layer() -> None:
    assert shared(dict.fromkeys("abc", (pinned("click", "8", 90_000),))) == NONE


def test_services_on_other_bases_have_layers_of_their_own_names() -> None:
    bases = (
        BaseEntry("web", requirements=asks("flask")),
        BaseEntry("torch", requirements=asks("x")),
    )
    services = [service(n, base="web", requirements=asks("torch")) for n in "ab"]
    services += [service(n, requirements=asks("torch")) for n in "cd"]
    pins = dict.fromkeys("abcd", (TORCH,))
    found = arrange(fleet(*services, bases=bases), pins, NONE, {})
    assert [(each.name, each.below) for each in found.layers] == [("torch-2", ""), ("torch-3", "")]


def test_an_image_has_at_most_as_many_layers_as_the_manifest_says() -> None:
    pins = {
        name: tuple(pinned(f"p{n}", size=10_000_000 + n) for n in range(number, 12))
        for number, name in enumerate("abcdefgh")
    }
    services = [service(name, requirements=asks("x")) for name in pins]
    for limit in (4, 6, 10):
        found = arrange(fleet(*services, layer_limit=limit), pins, NONE, {})
        assert all(len(found.chain(top)) <= limit - 3 for top in found.services.values())


def test_a_bump_in_one_service_leaves_the_layers_of_the_others() -> None:
    pins = dict.fromkeys("abcd", (TORCH, NUMPY))
    before = shared(pins)
    locks = {layer.name: pins["a"][at : at + 1] for at, layer in enumerate(before.layers)}
    now = {**pins, "a": (TORCH, pinned("numpy", "3", 18_000_000))}
    services = (service(name, requirements=asks("torch")) for name in pins)
    after = arrange(fleet(*services), now, before, locks)
    assert after.layers == before.layers
    assert after.services == {**before.services, "a": "torch"}


def test_one_line_says_what_one_version_would_bring() -> None:
    older = pinned("numpy", "1.26.4", 18_000_000)
    assert alignment({"ner": (NUMPY,), "t2v": (older,)}) == (
        "ner pins numpy 2, t2v 1.26.4: one version would share about 81.0 MB more on a host"
    )
    assert alignment({"ner": (NUMPY,), "t2v": (NUMPY,)}) == ""
    assert alignment({}) == ""
