"""The order of layers in which hosts share most."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.layers.order import ordered

SIZES = {"torch": 160, "numpy": 17, "django": 8, "scipy": 35, "rest": 0}

names = st.sampled_from("abcdefg")
fleets = st.dictionaries(st.sampled_from("uvwxyz"), st.sets(names), min_size=1)
layer_sizes = st.fixed_dictionaries({name: st.integers(0, 3) for name in "abcdefg"})


def stored(found: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int]) -> int:
    """The bytes on a host: of each layer once for every stack below it."""
    places = {chain[:end] for chain in found.values() for end in range(1, len(chain) + 1)}
    return sum(sizes[place[-1]] for place in places)


@pytest.mark.parametrize(
    ("fleet", "order"),
    [
        ("numpy torch/numpy torch", "torch numpy/torch numpy"),
        ("scipy numpy/numpy/numpy/numpy", "numpy scipy/numpy/numpy/numpy"),
        ("scipy numpy/numpy", "numpy scipy/numpy"),
        ("django scipy torch/django", "django torch scipy/django"),
        (
            "torch numpy/torch numpy/numpy django/numpy django",
            "torch numpy/torch numpy/numpy django/numpy django",
        ),
        ("rest torch/rest torch", "torch rest/torch rest"),
        ("/torch", "/torch"),
    ],
    ids=[
        "what saves most lies lowest",
        "a small layer of many saves more than a large one of few",
        "what all have lies below what would part them",
        "what no other image has lies on top, the largest first",
        "images with a layer and those without are ordered apart",
        "a layer of no bytes is shared, too, and lies on top",
        "an image may have no layer",
    ],
)
def test_hosts_share_most(fleet: str, order: str) -> None:
    images = {str(number): layers.split() for number, layers in enumerate(fleet.split("/"))}
    found = ordered(images, SIZES)
    assert "/".join(" ".join(found[image]) for image in images) == order


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
