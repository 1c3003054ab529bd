"""What locks say that packages need."""

from __future__ import annotations

import tomllib

import pytest

from slimbake.adopt.locked import closure_in, needs_in

UV = """
[[package]]
name = "app"
dependencies = [{ name = "web" }]
[package.dev-dependencies]
dev = [{ name = "tests" }]
[[package]]
name = "web"
optional-dependencies = { fast = [{ name = "Speed_Ups" }] }
[[package]]
name = "tests"
"""
POETRY = """
[[package]]
name = "web"
[package.dependencies]
Speed_Ups = {version = "*", optional = true}
[[package]]
name = "tests"
"""
PDM = """
[[package]]
name = "web"
dependencies = ["Speed_Ups>=1"]
[[package]]
name = "tests"
"""


@pytest.mark.parametrize("lock", [UV, POETRY, PDM])
def test_what_a_development_group_alone_needs_is_in_no_closure(lock: str) -> None:
    needs = needs_in(tomllib.loads(lock))
    assert closure_in(needs, ["web", "elsewhere"]) == {"web", "speed-ups", "elsewhere"}
    assert "tests" in needs
    assert "tests" not in closure_in(needs, ["app"])


def test_a_lock_of_another_form_says_nothing() -> None:
    assert needs_in({"packages": [{"name": "web"}], "default": {}}) == {}
