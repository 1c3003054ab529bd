"""The compose file's own way of laying keys out gives what PyYAML gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.render.compose import plainly
from slimbake.render.documents import document

TEXTS = st.text(" aAbn1.0:/-$#{}[]()'\"=,;_~&*!|>%@`é\n\t", max_size=12) | st.sampled_from(
    ("yes", "no", "On", "null", "~", "0x1f", "1e3", "1:30", "127.0.0.1::80", "a" * 98, "a " * 60)
)
SCALARS = TEXTS | st.integers() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.just("key"), below),
    max_leaves=4,
)


@given(VALUES)
def test_what_is_laid_out_plainly_is_as_pyyaml_lays_it_out(value: object) -> None:
    text = plainly("key", value, "    ")
    whole = document({"services": {"x": {"key": value}}})
    assert text in ("", whole.removeprefix("services:\n  x:\n"))


@pytest.mark.parametrize(
    "value",
    [
        "${REGISTRY:-registry.example.com/fleet}/service-00001:${TAG:-latest}",
        ["127.0.0.1:8000:8000"],
        {"test": ["CMD", "python", "-I", "-c", "connect(('localhost', 80), 4)"], "retries": 3},
    ],
)
def test_what_each_service_of_a_large_fleet_says_needs_no_pyyaml(value: object) -> None:
    assert plainly("key", value, "    ")
