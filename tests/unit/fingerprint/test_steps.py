"""What the plan says that steps read is what their Dockerfiles read."""

from __future__ import annotations

import pytest
from tests.golden.fleets import FLEETS, Fleet

from slimbake.fingerprint.dockerfile import reads
from slimbake.fingerprint.steps import steps_read
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
