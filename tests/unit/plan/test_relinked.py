"""Jobs that stand on what another job pushed: what they are given, and what they then do not build."""

import dataclasses

from tests.unit.fleets import COMMON, asks, planned, service

from slimbake.config.model import BaseEntry
from slimbake.plan.graph import relinked
from slimbake.plan.model import Plan
from slimbake.release.command import BakeOptions, Surroundings, arguments, environment

DIGEST = "sha256:" + "a" * 64
AT = {
    "runtime": f"registry.example.com/toy/runtime@{DIGEST}",
    "base-web": f"registry.example.com/toy/base-web@{DIGEST}",
    "base-ml": f"registry.example.com/toy/base-ml@{DIGEST}",
}


def fleet() -> Plan:
    return planned(
        service("api", base="web", smoke="smoke.py", requirements=asks(packages=(COMMON,))),
        service("model", base="ml"),
        service("jobs", contexts=(("api", "target:api"),)),
        bases=(
            BaseEntry("web", requirements=asks("fastapi")),
            BaseEntry("ml", extends="web", requirements=asks("numpy")),
        ),
        project="toy",
    )


def settings(words: tuple[str, ...]) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == "--set"]


def test_what_was_pushed_is_no_target_and_what_was_linked_to_it_has_the_image() -> None:
    made = relinked(fleet(), AT)
    assert not {target.name for target in made.targets} & set(AT)
    assert dict(made.target("api").contexts)["base"] == f"docker-image://{AT['base-web']}"
    assert dict(made.target("jobs").contexts)["api"] == "target:api"
    assert [target.name for target in made.needed(("api-smoke",))] == [
        *("inside", "wheel-common", "layer_api", "api", "api-smoke")
    ]


def test_a_bake_builds_no_base_that_was_pushed_and_is_given_it_by_its_digest() -> None:
    around = Surroundings(externals={}, pushed=AT)
    options = BakeOptions(names={"api": "registry.example.com/toy/api:staged"}, push=True)
    words = arguments(fleet(), ("api", "api-smoke"), around, options)
    assert words[-5:] == ("inside", "wheel-common", "layer_api", "api", "api-smoke")
    said = settings(words)
    assert f"api.contexts.base=docker-image://{AT['base-web']}" in said
    assert not [each for each in said if each.startswith(("runtime.", "base-web."))]
    assert "api.tags=registry.example.com/toy/api:staged" in said
    kind = fleet().compression
    assert [each for each in said if ".output=" in each and each.startswith("api")] == [
        "api.output=type=image,push=true,oci-mediatypes=true"
        f",compression={kind.type},compression-level={kind.level},force-compression=true"
    ]


def test_a_base_that_is_missing_is_built_on_the_one_that_is_there() -> None:
    some = {name: AT[name] for name in ("runtime", "base-web")}
    words = arguments(fleet(), ("base-ml",), Surroundings(externals={}, pushed=some), BakeOptions())
    assert words[-3:] == ("inside", "layer_base-ml", "base-ml")
    assert f"base-ml.contexts.base=docker-image://{AT['base-web']}" in settings(words)
    assert "base-ml.tags=slimbake/toy/base-ml:built" in settings(words)


def test_one_platform_is_set_for_every_target_and_for_the_bake_file() -> None:
    options = BakeOptions(platform="linux/arm64")
    words = arguments(fleet(), ("api",), Surroundings(externals={}), options)
    targets = words[words.index("inside", len(words) - 7) :]
    assert {f"{name}.platform=linux/arm64" for name in targets} <= set(settings(words))
    assert environment(Surroundings(externals={}), options)["PLATFORMS"] == "linux/arm64"


def test_another_builder_loads_bases_too_when_they_are_asked_for() -> None:
    words = arguments(
        fleet(), ("runtime", "base-web"), Surroundings(externals={}), BakeOptions(load=True)
    )
    assert {"runtime.output=type=docker", "base-web.output=type=docker"} <= set(settings(words))


def test_a_plan_that_stands_on_images_differs_in_nothing_else() -> None:
    made = relinked(fleet(), AT)
    api = next(target for target in fleet().targets if target.name == "api")
    assert dataclasses.replace(made.target("api"), contexts=api.contexts) == api
