"""Which scopes have locks, and what these depend on."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fleets import AUTH, COMMON, asks, fleet, questions, service

from slimbake.config.model import BaseEntry, ExternalEntry, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.host.wheels import Wheel
from slimbake.lock.model import Pin, locked_scopes, merged, question, settled

PROJECTS = {"libs/common": "[project]", "libs/auth": "[project]"}


def digests(found: Fleet, projects: dict[str, str] = PROJECTS) -> dict[str, str]:
    """What each lock answers, where the locks below are what they answer."""
    answers: dict[str, str] = {}
    for scope in locked_scopes(found):
        below = [answers[each.name] for each in settled(scope)]
        answers[scope.name] = question(scope, projects, below)
    return answers


BASES = (
    BaseEntry("ml", extends="web", requirements=asks("torch"), torch="cpu"),
    BaseEntry("web", requirements=asks("fastapi")),
    BaseEntry("other", requirements=asks("click")),
)


def test_a_package_that_carries_weights_has_one_lock_whoever_uses_it() -> None:
    model = WeightsEntry("package", "some-model")
    both = (service("a", weights=model), service("b", weights=model))
    scopes = locked_scopes(fleet(*both, service("c", weights=WeightsEntry("path", "x"))))
    assert [(each.name, each.kind) for each in scopes] == [("weights-some-model", "weights")]


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


def one(on: str = "web", *specs: str, **said: Any) -> Fleet:
    """A fleet of one service, on a base."""
    asked = asks(*(specs or ("httpx",)), packages=said.pop("packages", (COMMON,)))
    return fleet(service("a", base=on, requirements=asked), **{"bases": BASES, **said})


A = service("a", base="web", requirements=asks("httpx", packages=(COMMON,)))
ONE = one()
OVERRIDDEN = replace(asks("httpx", packages=(COMMON,)), overrides=("idna>=3",))
OTHERS = {
    "python": digests(one(python="3.12")),
    "a package's project file": digests(
        ONE, projects=PROJECTS | {"libs/common": "[project]\ndependencies = ['x']"}
    ),
    "a requirement": digests(one("web", "httpx>1")),
    "a package": digests(one(packages=())),
    "the base": digests(one("ml")),
    "a requirement of its base": digests(
        one(bases=(BaseEntry("web", requirements=asks("fastapi>1")), *BASES[::2]))
    ),
    "the platforms": digests(one(platforms=("linux/arm64",))),
    "an override": digests(fleet(replace(A, requirements=OVERRIDDEN), bases=BASES)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_lock_depends_on(other: dict[str, str]) -> None:
    assert other["a"] != digests(ONE)["a"]


def test_a_lock_depends_on_its_build_of_torch() -> None:
    cuda = (BaseEntry("ml", extends="web", requirements=asks("torch"), torch="cuda"), *BASES[1:])
    assert digests(fleet(bases=BASES))["base-ml"] != digests(fleet(bases=cuda))["base-ml"]


def test_a_neighbour_changes_no_lock() -> None:
    with_b = fleet(A, service("b", base="web", requirements=asks("rich")), bases=BASES)
    assert digests(with_b) == digests(ONE) | {"b": digests(with_b)["b"]}


def test_services_that_swap_their_names_or_bases_are_locked_again() -> None:
    """What a service adds is what its base lacks: equal questions at one depth have other answers."""
    bases = (
        BaseEntry("root"),
        BaseEntry("x", "root", asks("numpy")),
        BaseEntry("y", "root", asks("torch")),
    )

    def found(a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
        pairs = {"a": a, "b": b}.items()
        services = (service(n, base=on, requirements=asks(spec)) for n, (on, spec) in pairs)
        answers = digests(fleet(*services, bases=bases))
        return answers["a"], answers["b"]

    numpy, torch = ("root", "numpy"), ("root", "torch")
    assert found(numpy, torch) == found(torch, numpy)[::-1]
    assert found(numpy, torch)[0] != found(torch, numpy)[0]
    assert found(("x", "numpy"), ("y", "torch")) != found(("y", "numpy"), ("x", "torch"))


AMD64, ARM64 = 'platform_machine == "x86_64"', 'platform_machine == "aarch64"'


def wheel(tag: str) -> Wheel:
    return Wheel(f"numpy-2-cp311-cp311-{tag}.whl", 3, "a" * 64)


ONLY_ARM, ONLY_AMD = wheel("linux_aarch64"), wheel("linux_x86_64")
PURE = Wheel("x.whl", 1, "b" * 64)


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        (
            {
                AMD64: [Pin("numpy", "2", (ONLY_AMD,), ("", "x"))],
                ARM64: [Pin("numpy", "2", (ONLY_ARM,), ("", "y"))],
            },
            [Pin("numpy", "2", (ONLY_ARM, ONLY_AMD), ("", "x", "y"))],
        ),
        (
            {AMD64: [Pin("x", "1", (PURE,))], ARM64: [Pin("x", "1", (PURE,))]},
            [Pin("x", "1", (PURE,))],
        ),
        (
            {AMD64: [Pin("mkl", "1"), Pin("numpy", "2")], ARM64: [Pin("numpy", "1")]},
            [
                Pin("mkl", "1", marker=AMD64),
                *(Pin("numpy", *of) for of in (("1", (), (), ARM64), ("2", (), (), AMD64))),
            ],
        ),
        ({"b": [Pin("x", "1")], "a": [Pin("x", "1")], "c": []}, [Pin("x", "1", marker="a or b")]),
        ({AMD64: [Pin("x", "1")]}, [Pin("x", "1")]),
    ],
    ids=["wheels of each", "one wheel for all", "versions differ", "two of three", "one platform"],
)
def test_pins_of_platforms_are_merged(pins: dict[str, list[Pin]], expected: list[Pin]) -> None:
    assert merged(pins) == tuple(expected)


def test_a_lock_of_debian_packages_depends_on_the_image_of_its_python() -> None:
    def asked(**images: str) -> str:
        entries = tuple(
            ExternalEntry("python", image, version.removeprefix("of").replace("_", "."))
            for version, image in images.items()
        )
        made = fleet(service("a", python="3.13", system=("libpq5",)), externals=entries)
        return questions(made)["a.system"]

    assert asked(of3_11="x:1", of3_13="y:1") == asked(of3_11="x:2", of3_13="y:1")
    assert asked(of3_11="x:1", of3_13="y:1") != asked(of3_11="x:1", of3_13="y:2")
