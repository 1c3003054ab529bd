"""What fleets share: layers are composed as slimbake does it, and bytes counted once for each stack."""

from bench.sharing import BOUNDS, by_size, composed, fleet_of, missed, shared
from bench.synthetic import Wheel, synthetic

from slimbake.layers import HEAVY

TORCH = Wheel("torch", 600, 160)
NUMPY = Wheel("numpy", 60, 16)
SIX, IDNA = Wheel("six", 5, 1), Wheel("idna", 7, 2)
FLEET = {"api": (NUMPY, SIX), "nlg": (NUMPY, SIX, TORCH), "web": (IDNA, NUMPY)}


def test_heavy_wheels_are_layers_and_equal_rests_are_one() -> None:
    layers, layers_of = composed(FLEET, 10)
    assert layers == {"numpy": (NUMPY,), "six": (SIX,), "torch": (TORCH,), "idna": (IDNA,)}
    shown = {"api": ["numpy", "six"], "nlg": ["torch", "numpy", "six"], "web": ["numpy", "idna"]}
    assert layers_of == shown


def test_a_layer_counts_once_for_each_stack_on_a_host_and_once_on_a_registry() -> None:
    layers, layers_of = composed(FLEET, 10)
    sizes = {name: wheels[0].host for name, wheels in layers.items()}
    found = shared(10, "by size", layers, by_size(layers_of, sizes))
    assert found.registry == 160 + 16 + 1 + 2
    # nlg's numpy is on torch, the others' at the bottom.
    assert found.host == (600 + 60 + 5) + (60 + 5 + 7)
    assert found.layers == 3


def test_a_bump_pulls_the_layers_that_have_the_package() -> None:
    layers, layers_of = composed(FLEET, 100)
    found = shared(100, "", layers, layers_of)
    rests = (16 + 1) + (16 + 2)
    assert found.pulled_mean == (160 + rests + (16 + 1) + (16 + 2)) / 4


def test_the_same_number_of_services_gives_the_same_fleet() -> None:
    assert synthetic(20) == synthetic(20)
    assert len(synthetic(20)) == 20
    assert len(fleet_of("torch")) == 3 and len(fleet_of("unlike")) == 20
    assert HEAVY in BOUNDS


def test_too_little_that_is_shared_is_reported() -> None:
    ours = {"bound": 1, "order": "slimbake", "host": 132, "registry": 106}
    union = {"host": 100, "registry": 100}
    numbers = {"union": union, "bound": 1, "before": {"host": 1.25}, "shared": [ours]}
    assert missed("50", numbers) == ["50: 1.32 of the union on a host, 1.25 before"]
    numbers["before"] = {"host": 1.26}
    assert missed("50", numbers) == []
    assert missed("torch", numbers) == ["torch: 1.06 of the union on a registry"]
