"""Which rules make each layer smaller, and what turns them off."""

from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, locked, pinned, service

from slimbake.catalogue import rules
from slimbake.config.model import BaseEntry, Removal
from slimbake.fleet import Fleet
from slimbake.layers import layering
from slimbake.layers.compilers import compilers
from slimbake.lock.model import Pin

ALL = [rule.name for rule in rules() if not rule.packages]
WITHOUT_COMPILER = [
    rule.name for rule in rules() if not rule.packages and "no-compiler" not in rule.conditions
]
PINS = {"base_web": [pinned("fastapi")], "base_ml": [pinned("scipy")], "api": [pinned("httpx")]}


def made(base: Any = None, api: Any = None, **said: Any) -> Fleet:
    """Two bases and two services, the upper base and one service with more keys."""
    bases = (
        BaseEntry("web", requirements=asks("fastapi")),
        BaseEntry("ml", extends="web", requirements=asks("scipy"), **(base or {})),
    )
    services = (
        service("api", base="ml", requirements=asks("httpx"), **(api or {})),
        service("own", base="web"),
    )
    return fleet(*services, bases=bases, **said)


def given(found: Fleet, **pins: list[Pin]) -> dict[str, list[str]]:
    """The names of the rules of each lock's layer. `pins`: of other locks."""
    layers = layering(found, locked(**{**PINS, **pins})).layers
    return {layer.lock: [rule.name for rule in layer.rules] for layer in layers}


def test_each_layer_has_all_rules_of_the_catalogue() -> None:
    assert given(made()) == {"base-web": ALL, "base-ml": ALL, "api": ALL}
    assert "symbols" in ALL and "sources" in ALL


def test_a_rule_of_a_package_is_only_in_the_layer_that_has_it() -> None:
    found = given(made(), api=[pinned("onnxruntime", "1.20")])
    assert "onnxruntime-library" in found["api"]
    assert "onnxruntime-library" not in found["base-ml"]
    assert given(made(), api=[pinned("onnxruntime", "9")])["api"] == ALL


@pytest.mark.parametrize(
    ("how", "off"),
    [
        ({"optimize": False}, {"base-web", "base-ml", "api"}),
        ({"base": {"optimize": False}}, {"base-ml"}),
        ({"api": {"optimize": False}}, {"api"}),
        ({"optimize": False, "api": {"optimize": True}}, {"base-web", "base-ml"}),
    ],
)
def test_a_layer_without_optimisation_has_none(how: dict[str, Any], off: set[str]) -> None:
    assert {lock for lock, names in given(made(**how)).items() if not names} == off


def test_what_the_manifest_removes_comes_first_and_always() -> None:
    removal = Removal(("a/**", "**/*.md"), ("a/b.py",))
    lines = [f"services.yaml: bases.ml.remove: {glob}" for glob in removal.remove]
    found = made(base={"removal": removal})
    assert given(found)["base-ml"] == [*lines, *ALL]
    assert found.removes == {"base-ml", "api"}, "what stands on it has lost it, too"
    assert given(made(base={"removal": removal, "optimize": False}))["base-ml"] == lines


def test_what_compilers_read_stays_below_an_image_with_one() -> None:
    assert given(made(), api=[pinned("ziglang")]) == dict.fromkeys(
        ("base-web", "base-ml", "api"), WITHOUT_COMPILER
    )


def test_what_compilers_read_stays_below_a_dockerfile_of_the_users_own() -> None:
    web = BaseEntry("web", requirements=asks("fastapi"))
    own = service("own", base="web", dockerfile="Dockerfile")
    assert given(fleet(own, bases=(web,)))["base-web"] == WITHOUT_COMPILER


def test_compilers_are_known_by_their_names() -> None:
    names = ("gcc-14", "gcc-14-base", "libgcc-s1", "clang", "nvidia-cuda-nvrtc", "numpy", "ziglang")
    assert compilers(names) == ("clang", "gcc-14", "nvidia-cuda-nvrtc", "ziglang")
