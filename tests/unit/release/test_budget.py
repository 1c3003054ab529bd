"""Budgets: the images that are over one."""

import pytest
from tests.unit.fleets import asks, fleet, plan_of, service

from slimbake.config.model import BaseEntry, Budget, WeightsEntry
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.plan.graph import layers
from slimbake.release.budget import over_budget

MB = 1_000_000


@pytest.mark.parametrize(
    ("budget", "compressed", "expected"),
    [
        (Budget(), 9 * MB, []),
        (Budget(uncompressed=3 * MB, compressed=9 * MB), 9 * MB, []),
        (Budget(compressed=9 * MB), None, []),
        (Budget(uncompressed=MB), None, ["api: uncompressed 3.0 MB, its budget is 1.0 MB"]),
        (
            Budget(uncompressed=2_000_000, compressed=8 * MB),
            9 * MB,
            [
                "api: uncompressed 3.0 MB, its budget is 2.0 MB",
                "api: compressed 9.0 MB, its budget is 8.0 MB",
            ],
        ),
    ],
)
def test_every_limit_that_does_not_hold_is_reported(
    budget: Budget, compressed: int | None, expected: list[str]
) -> None:
    layer = MeasuredLayer("sha256:a", "sha256:b", 3 * MB, compressed, 1)
    measured = Measurement(tuple(Image(name, "sha256:c", (layer,)) for name in ("api", "weights")))
    over = over_budget(plan_of(fleet(service("api", budget=budget))), measured)
    hint = "  `slimbake sizes --by package sha256:c` lists what is in it"
    assert over == ({"api": "\n".join((*expected, hint))} if expected else {})


def test_each_layer_has_the_name_of_the_target_that_lays_it() -> None:
    weights = WeightsEntry("package", "some-model")
    made = fleet(
        service(
            "api", base="web", requirements=asks("b"), weights=weights, volumes=(("data", "/data"),)
        ),
        service("rank", base="web", weights=weights, system=("libx",)),
        service("alone", weights=WeightsEntry("path", "models/alone")),
        service("own", dockerfile="own.Dockerfile"),
        bases=(BaseEntry("web", requirements=asks("a")),),
    )
    decided = plan_of(made)
    web = ("runtime", "runtime", "layer_base-web", "weights-some-model")
    assert layers(decided, "api") == (*web, "layer_api", "api", "api")
    assert layers(decided, "rank") == (*web, "rank", "rank")
    assert layers(decided, "alone") == ("runtime", "runtime", "weights-models-alone", "alone")
    assert layers(decided, "own") == ()
