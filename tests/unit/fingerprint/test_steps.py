"""What bake knows of a target."""

from dataclasses import replace
from typing import Any

import pytest
from tests.golden.fleets import FLEETS

from slimbake.config.model import Secret
from slimbake.fingerprint.steps import settings

VARIANTS = next(fleet for fleet in FLEETS if fleet.root.name == "variants").plan
IMAGE = next(target for target in VARIANTS.targets if target.kind == "service")


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ({"args": (("A", "1"),)}, True),
        ({"labels": ()}, True),
        ({"context": "elsewhere"}, True),
        ({"contexts": ()}, True),
        ({"dockerfile": "other.Dockerfile"}, True),
        ({"platforms": ("linux/arm64",)}, True),
        ({"secrets": (Secret("token", "env", "TOKEN"),)}, True),
        ({"online": not IMAGE.online}, True),
        ({"repository": ""}, True),  # its output is another one
        ({"repository": "another-name"}, False),
        ({"suffix": "-cuda"}, False),
        ({"recipe": None}, False),  # the Dockerfile's own text counts
        ({"ignore": ("*",)}, False),  # what is sent counts
    ],
)
def test_settings_of_a_target_count_and_names_do_not(changed: dict[str, Any], counts: bool) -> None:
    before, after = (settings(VARIANTS, each)[0] for each in (IMAGE, replace(IMAGE, **changed)))
    assert (before != after) is counts


def test_the_variables_of_a_target_are_those_that_its_block_reads() -> None:
    kind = VARIANTS.compression
    pushed = {"COMPRESSION": kind.type, "COMPRESSION_LEVEL": str(kind.level)}
    everywhere = replace(IMAGE, platforms=())
    assert settings(VARIANTS, everywhere)[1] == {
        **pushed,
        "PLATFORMS": ",".join(VARIANTS.platforms),
    }
    own = replace(IMAGE, platforms=("linux/arm64",))
    assert settings(VARIANTS, own)[1] == pushed
    assert settings(VARIANTS, replace(own, repository=""))[1] == {}
