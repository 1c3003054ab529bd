"""The order of layers in which hosts share most."""

import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from slimbake.layers.order import ordered

SIZES = {"torch": 160, "numpy": 17, "django": 8, "scipy": 35, "rest": 0}

names = st.sampled_from("abcdefg")
fleets = st.dictionaries(st.sampled_from("uvwxyz"), st.sets(names), min_size=1)
layer_sizes = st.fixed_dictionaries({name: st.integers(0, 3) for name in "abcdefg"})


def chains(**layers_of: str) -> dict[str, str]:
    found = ordered({image: names.split() for image, names in layers_of.items()}, SIZES)
    return {image: " ".join(chain) for image, chain in found.items()}


def stored(found: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int]) -> int:
    """The bytes on a host: of each layer once for every stack below it."""
    places = {chain[:end] for chain in found.values() for end in range(1, len(chain) + 1)}
    return sum(sizes[place[-1]] for place in places)


def test_what_saves_most_bytes_lies_lowest() -> None:
    assert chains(a="numpy torch", b="numpy torch") == {"a": "torch numpy", "b": "torch numpy"}


def test_a_small_layer_of_many_may_save_more_than_a_large_one_of_few() -> None:
    found = chains(a="scipy numpy", b="scipy numpy", c="numpy", d="numpy", e="numpy")
    assert found["a"] == found["b"] == "numpy scipy"


def test_what_all_have_lies_below_what_would_part_them() -> None:
    found = chains(a="scipy numpy", b="scipy numpy", c="numpy")
    assert found == {"a": "numpy scipy", "b": "numpy scipy", "c": "numpy"}


def test_what_no_other_image_has_lies_on_top_with_the_largest_first() -> None:
    assert chains(a="django scipy torch", b="django")["a"] == "django torch scipy"


def test_images_with_a_layer_and_those_without_are_ordered_apart() -> None:
    found = chains(a="torch numpy", b="torch numpy", c="numpy django", d="numpy django")
    assert found["a"] == found["b"] == "torch numpy"
    assert found["c"] == found["d"] == "numpy django"


def test_a_layer_of_no_bytes_is_shared_too_and_lies_on_top() -> None:
    assert chains(a="rest torch", b="rest torch") == {"a": "torch rest", "b": "torch rest"}


def test_an_image_may_have_no_layer() -> None:
    assert chains(a="", b="torch") == {"a": "", "b": "torch"}


@given(fleets, layer_sizes)
def test_every_image_has_exactly_its_layers(
    fleet: dict[str, set[str]], sizes: dict[str, int]
) -> None:
    found = ordered(fleet, sizes)
    assert {image: sorted(chain) for image, chain in found.items()} == {
        image: sorted(layers) for image, layers in fleet.items()
    }


@given(fleets, layer_sizes, st.randoms())
def test_the_order_of_what_is_given_decides_nothing(
    fleet: dict[str, set[str]], sizes: dict[str, int], dice: random.Random
) -> None:
    turned = [(image, dice.sample(sorted(layers), len(layers))) for image, layers in fleet.items()]
    dice.shuffle(turned)
    assert ordered(dict(turned), sizes) == ordered(fleet, sizes)


def test_a_thousand_services_store_little_more_than_each_layer_once() -> None:
    dice = random.Random(1)  # noqa: S311
    sizes = {f"p{number}": 2**number for number in range(26)}
    small, large = [*sizes][:20], [*sizes][20:]
    fleet = {
        f"s{number}": large[-dice.randint(1, 6) :] + dice.sample(small, 20)
        for number in range(1_000)
    }
    assert stored(ordered(fleet, sizes), sizes) < 1.1 * sum(sizes.values())
