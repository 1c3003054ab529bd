"""What the plan says that steps read is what their Dockerfiles read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.golden.fleets import FLEETS, Fleet

from slimbake.config.model import Secret
from slimbake.fingerprint.dockerfile import reads
from slimbake.fingerprint.steps import settings, steps_read
from slimbake.render.generated import own_templates

SHIPPED = [fleet for fleet in FLEETS if not own_templates(fleet.root)]


@pytest.mark.parametrize("fleet", SHIPPED, ids=str)
def test_the_plan_knows_what_generated_steps_read(fleet: Fleet) -> None:
    texts = {file.path: file.text for file in fleet.files()}
    known = {target.name: steps_read(target) for target in fleet.plan.targets}
    parsed = {
        target.name: reads(
            texts[target.dockerfile], [name for name, _ in target.contexts], dict(target.args)
        )
        for target in fleet.plan.targets
        if known[target.name]
    }
    assert len(parsed) > 1
    assert {name: known[name] for name in parsed} == parsed


def test_a_template_of_one_s_own_is_none_of_the_shipped_ones() -> None:
    (own,) = (fleet for fleet in FLEETS if own_templates(fleet.root))
    assert own.root.name == "own-templates"
    (ways,) = (fleet for fleet in FLEETS if fleet.root.name == "own-ways")
    unknown = {t.name for t in ways.plan.targets if t.recipe and steps_read(t) is None}
    assert unknown == {"from-template"}


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
def test_what_bake_knows_of_a_target_counts_but_not_its_names(
    changed: dict[str, Any], counts: bool
) -> None:
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
