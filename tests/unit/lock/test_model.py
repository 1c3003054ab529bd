"""Families, and what their locks depend on."""

from __future__ import annotations

import pytest
from tests.unit.fleets import AUTH, COMMON, asks, below, fleet, service

from slimbake.config.model import BaseEntry, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.host.wheels import Wheel
from slimbake.lock.model import Family, Pin, families, inputs, merged

PROJECTS = {"libs/common": "[project]", "libs/auth": "[project]"}


def shape(found: Fleet) -> list[list[tuple[str, str]]]:
    return [[(layer.name, below(layer)) for layer in family.layers] for family in families(found)]


def digests(
    found: Fleet, python: str = "3.11", projects: dict[str, str] = PROJECTS
) -> dict[str, str]:
    return {
        name: value
        for family in families(found)
        for name, value in inputs(family, python, projects).items()
    }


BASES = (
    BaseEntry("ml", extends="web", requirements=asks("torch"), torch="cpu"),
    BaseEntry("web", requirements=asks("fastapi")),
    BaseEntry("other", requirements=asks("click")),
)


def test_a_family_is_a_root_base_and_everything_that_stands_on_it_parents_first() -> None:
    found = fleet(
        service("rank", base="ml", requirements=asks("scipy")),
        service("api", base="web", requirements=asks("httpx")),
        service("tool", base="other", requirements=asks("rich")),
        bases=BASES,
    )
    assert shape(found) == [
        [("base-web", ""), ("base-ml", "base-web"), ("rank", "base-ml"), ("api", "base-web")],
        [("base-other", ""), ("tool", "base-other")],
    ]
    assert [family.torch for family in families(found)] == ["cpu", ""]


def test_a_service_without_a_base_is_a_family_and_one_without_requirements_has_no_layer() -> None:
    found = fleet(
        service("tool", requirements=asks("rich")),
        service("bare"),
        service("thin", base="other"),
        bases=BASES[2:],
    )
    assert shape(found) == [[("base-other", "")], [("tool", "")]]


def test_services_without_any_base_are_one_family_unless_none_of_their_layers_is_to_be_found() -> (
    None
):
    services = (
        service("a", requirements=asks("rich")),
        service("b", requirements=asks("click")),
        service("bare"),
    )
    assert (
        shape(fleet(*services))
        == shape(fleet(*services, layers="auto"))
        == [[("a", ""), ("b", "")]]
    )
    assert shape(fleet(*services, layers="none")) == [[("a", "")], [("b", "")]]
    assert [
        [family.found for family in families(fleet(*services, layers=each))]
        for each in ("auto", "none")
    ] == [
        [True],
        [False, False],
    ]
    assert [family.torch for family in families(fleet(*services, torch="cpu"))] == ["cpu"]


def test_what_is_to_be_found_is_resolved_for_every_platform_of_the_fleet() -> None:
    services = (
        service("a", requirements=asks("rich"), platforms=("linux/arm64",)),
        service("b", requirements=asks("click")),
    )
    both = ("linux/amd64", "linux/arm64")
    (family,) = families(fleet(*services))
    assert [layer.platforms for layer in family.layers] == [both, both]
    apart = families(fleet(*services, layers="none"))
    assert [each.platforms for each in apart] == [("linux/arm64",), ("linux/amd64",)]


def test_a_lock_that_bases_may_be_taken_from_answers_another_question() -> None:
    service_ = service("a", requirements=asks("rich"))
    assert digests(fleet(service_))["a"] != digests(fleet(service_, layers="none"))["a"]


def test_a_package_that_carries_weights_is_a_family_of_its_own_without_its_dependencies() -> None:
    model = WeightsEntry("package", "some-model")
    found = families(
        fleet(
            service("a", weights=model),
            service("b", weights=model),
            service("c", weights=WeightsEntry("path", "x")),
        )
    )
    assert [(f.layers[0].name, f.layers[0].asks.specs, f.dependencies) for f in found] == [
        ("weights-some-model", ("some-model",), False)
    ]


def test_a_layer_s_closure_is_all_that_it_stands_on_and_itself() -> None:
    family = families(fleet(service("rank", base="ml", requirements=asks("scipy")), bases=BASES))[0]
    (rank,) = (layer for layer in family.layers if layer.name == "rank")
    assert [layer.name for layer in rank.closure] == ["base-web", "base-ml", "rank"]


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


def test_a_lock_depends_on_the_family_s_build_of_torch() -> None:
    pypi = (BaseEntry("ml", extends="web", requirements=asks("torch"), torch="pypi"), *BASES[1:])
    assert digests(fleet(bases=BASES))["base-ml"] != digests(fleet(bases=pypi))["base-ml"]


def test_a_neighbour_in_the_family_changes_no_lock() -> None:
    # Known pins are kept, so a service more in a family need not change what is locked for the
    # others.
    with_b = fleet(A, service("b", base="web", requirements=asks("rich")), bases=BASES)
    assert digests(with_b) == digests(ONE) | {"b": digests(with_b)["b"]}


def test_another_family_changes_no_lock() -> None:
    with_tool = fleet(A, service("tool", base="other", requirements=asks("rich")), bases=BASES)
    assert digests(with_tool)["a"] == digests(ONE)["a"]


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


def test_a_family_is_a_value() -> None:
    assert families(ONE) == families(ONE)
    assert isinstance(families(ONE)[0], Family)


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
