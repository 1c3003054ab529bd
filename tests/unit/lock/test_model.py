"""Which layers have locks, and what these depend on."""

from __future__ import annotations

import pytest
from tests.unit.fleets import AUTH, COMMON, asks, fleet, service

from slimbake.config.model import BaseEntry, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.host.wheels import Wheel
from slimbake.lock.model import Pin, locked_layers, merged, question, settled

PROJECTS = {"libs/common": "[project]", "libs/auth": "[project]"}


def digests(
    found: Fleet, python: str = "3.11", projects: dict[str, str] = PROJECTS
) -> dict[str, str]:
    """What each lock answers, where the locks below are what they answer."""
    answers: dict[str, str] = {}
    for layer in locked_layers(found):
        below = [answers[each.name] for each in settled(layer)]
        answers[layer.name] = question(layer, python, projects, below)
    return answers


BASES = (
    BaseEntry("ml", extends="web", requirements=asks("torch"), torch="cpu"),
    BaseEntry("web", requirements=asks("fastapi")),
    BaseEntry("other", requirements=asks("click")),
)


def test_each_layer_comes_after_those_whose_versions_it_takes() -> None:
    found = fleet(
        service("rank", base="ml", requirements=asks("scipy")),
        service("api", base="web", requirements=asks("httpx")),
        service("tool", requirements=asks("rich")),
        service("bare"),
        bases=BASES,
    )
    layers = {layer.name: [each.name for each in settled(layer)] for layer in locked_layers(found)}
    assert layers == {
        "base-web": [],
        "base-ml": ["base-web"],
        "base-other": [],
        "rank": ["base-web", "base-ml"],
        "api": ["base-web"],
        "tool": [],
    }


def test_a_service_is_locked_for_its_own_platforms() -> None:
    services = (
        service("a", requirements=asks("rich"), platforms=("linux/arm64",)),
        service("b", requirements=asks("click")),
    )
    layers = locked_layers(fleet(*services))
    assert [layer.platforms for layer in layers] == [("linux/arm64",), ("linux/amd64",)]


def test_how_services_share_is_no_part_of_what_their_locks_answer() -> None:
    service_ = service("a", requirements=asks("rich"))
    assert digests(fleet(service_)) == digests(fleet(service_, layers="none"))


def test_a_package_that_carries_weights_has_one_lock_whoever_uses_it() -> None:
    model = WeightsEntry("package", "some-model")
    layers = locked_layers(
        fleet(
            service("a", weights=model),
            service("b", weights=model),
            service("c", weights=WeightsEntry("path", "x")),
        )
    )
    assert [(each.name, each.kind) for each in layers] == [("weights-some-model", "weights")]


def test_order_changes_nothing_that_a_lock_depends_on() -> None:
    services = (
        service("a", base="web", requirements=asks("httpx", "rich", packages=(COMMON, AUTH))),
        service("b", base="ml", requirements=asks("scipy")),
    )
    turned = (
        services[1],
        service("a", base="web", requirements=asks("rich", "httpx", packages=(AUTH, COMMON))),
    )
    assert digests(fleet(*services, bases=BASES)) == digests(fleet(*turned, bases=BASES[::-1]))


A = service("a", base="web", requirements=asks("httpx", packages=(COMMON,)))
ONE = fleet(A, bases=BASES)


@pytest.mark.parametrize(
    "other",
    [
        digests(ONE, python="3.12"),
        digests(ONE, projects=PROJECTS | {"libs/common": "[project]\ndependencies = ['x']"}),
        digests(
            fleet(
                service("a", base="web", requirements=asks("httpx>1", packages=(COMMON,))),
                bases=BASES,
            )
        ),
        digests(fleet(service("a", base="web", requirements=asks("httpx")), bases=BASES)),
        digests(
            fleet(
                service("a", base="ml", requirements=asks("httpx", packages=(COMMON,))), bases=BASES
            )
        ),
        digests(
            fleet(A, bases=(BaseEntry("web", requirements=asks("fastapi>1")), *BASES[::2])),
        ),
        digests(fleet(A, bases=BASES, platforms=("linux/arm64",))),
    ],
    ids=[
        "python",
        "a package's project file",
        "a requirement",
        "a package",
        "the base",
        "a requirement of its base",
        "the platforms",
    ],
)
def test_a_lock_depends_on(other: dict[str, str]) -> None:
    assert other["a"] != digests(ONE)["a"]


def test_a_lock_depends_on_its_build_of_torch() -> None:
    pypi = (BaseEntry("ml", extends="web", requirements=asks("torch"), torch="pypi"), *BASES[1:])
    assert digests(fleet(bases=BASES))["base-ml"] != digests(fleet(bases=pypi))["base-ml"]


def test_a_neighbour_changes_no_lock() -> None:
    with_b = fleet(A, service("b", base="web", requirements=asks("rich")), bases=BASES)
    assert digests(with_b) == digests(ONE) | {"b": digests(with_b)["b"]}


def test_two_services_that_swap_their_names_are_locked_again() -> None:
    one, two = asks("httpx"), asks("rich")
    before = digests(
        fleet(
            service("a", base="web", requirements=one),
            service("b", base="web", requirements=two),
            bases=BASES,
        )
    )
    after = digests(
        fleet(
            service("a", base="web", requirements=two),
            service("b", base="web", requirements=one),
            bases=BASES,
        )
    )
    assert before["a"] != after["a"]
    assert (before["a"], before["b"]) == (after["b"], after["a"])


def test_two_services_that_swap_their_bases_are_locked_again() -> None:
    # What a service adds is what its base lacks: the same questions at the same depth have another
    # answer.
    bases = (
        BaseEntry("root"),
        BaseEntry("x", "root", asks("numpy")),
        BaseEntry("y", "root", asks("torch")),
    )

    def found(of_a: str, of_b: str) -> dict[str, str]:
        numpy, torch = asks("numpy"), asks("torch")
        return digests(
            fleet(
                service("a", base=of_a, requirements=numpy),
                service("b", base=of_b, requirements=torch),
                bases=bases,
            )
        )

    assert found("x", "y") != found("y", "x")


AMD64, ARM64 = 'platform_machine == "x86_64"', 'platform_machine == "aarch64"'


def wheel(tag: str) -> Wheel:
    return Wheel(f"numpy-2-cp311-cp311-{tag}.whl", 3, "a" * 64)


def test_what_all_platforms_have_is_one_pin_with_the_wheels_of_each() -> None:
    one, other = wheel("linux_aarch64"), wheel("linux_x86_64")
    found = merged(
        {
            AMD64: [Pin("numpy", "2", (other,), ("", "x"))],
            ARM64: [Pin("numpy", "2", (one,), ("", "y"))],
        }
    )
    assert found == (Pin("numpy", "2", (one, other), ("", "x", "y")),)


def test_a_wheel_for_every_platform_is_named_once() -> None:
    pure = Wheel("click-8-py3-none-any.whl", 1, "b" * 64)
    assert merged({AMD64: [Pin("click", "8", (pure,))], ARM64: [Pin("click", "8", (pure,))]}) == (
        Pin("click", "8", (pure,)),
    )


def test_what_one_platform_alone_has_and_what_differs_carries_a_marker() -> None:
    found = merged({AMD64: [Pin("mkl", "1"), Pin("numpy", "2")], ARM64: [Pin("numpy", "1")]})
    assert found == (
        Pin("mkl", "1", marker=AMD64),
        Pin("numpy", "1", marker=ARM64),
        Pin("numpy", "2", marker=AMD64),
    )


def test_two_of_three_platforms_are_named_in_one_marker() -> None:
    pin = Pin("x", "1")
    assert merged({"b": [pin], "a": [pin], "c": []}) == (Pin("x", "1", marker="a or b"),)


def test_one_platform_needs_no_marker() -> None:
    assert merged({AMD64: [Pin("x", "1")]}) == (Pin("x", "1"),)
