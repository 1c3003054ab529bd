"""Families, and what their locks depend on."""

from __future__ import annotations

import pytest
from tests.unit.fleets import AUTH, COMMON, asks, fleet, service

from slimbake.lock.model import Family, Pin, families, inputs, lock_text, parse_pins
from slimbake.manifest.model import Base, Manifest, Weights

PROJECTS = {"libs/common": "[project]", "libs/auth": "[project]"}


def shape(manifest: Manifest) -> list[list[tuple[str, str]]]:
    return [[(layer.name, layer.parent) for layer in family.layers] for family in families(manifest)]


def digests(manifest: Manifest, python: str = "3.11", projects: dict[str, str] = PROJECTS) -> dict[str, str]:
    return {name: value for family in families(manifest) for name, value in inputs(family, python, projects).items()}


BASES = (
    Base("ml", extends="web", requirements=asks("torch"), torch="cpu"),
    Base("web", requirements=asks("fastapi")),
    Base("other", requirements=asks("click")),
)


def test_a_family_is_a_root_base_and_everything_that_stands_on_it_parents_first() -> None:
    manifest = fleet(
        service("rank", base="ml", requirements=asks("scipy")),
        service("api", base="web", requirements=asks("httpx")),
        service("tool", base="other", requirements=asks("rich")),
        bases=BASES,
    )
    assert shape(manifest) == [
        [("base-web", ""), ("base-ml", "base-web"), ("rank", "base-ml"), ("api", "base-web")],
        [("base-other", ""), ("tool", "base-other")],
    ]
    assert [family.torch for family in families(manifest)] == ["cpu", ""]


def test_a_service_without_a_base_is_a_family_and_one_without_requirements_has_no_layer() -> None:
    manifest = fleet(
        service("tool", requirements=asks("rich")), service("bare"), service("thin", base="other"), bases=BASES[2:]
    )
    assert shape(manifest) == [[("base-other", "")], [("tool", "")]]


def test_a_package_that_carries_weights_is_a_family_of_its_own_without_its_dependencies() -> None:
    model = Weights("package", "some-model")
    found = families(
        fleet(service("a", weights=model), service("b", weights=model), service("c", weights=Weights("path", "x")))
    )
    assert [(f.layers[0].name, f.layers[0].specs, f.dependencies) for f in found] == [
        ("weights-some-model", ("some-model",), False)
    ]


def test_a_layer_s_closure_is_all_that_it_stands_on_and_itself() -> None:
    family = families(fleet(service("rank", base="ml", requirements=asks("scipy")), bases=BASES))[0]
    assert [layer.name for layer in family.closure("rank")] == ["base-web", "base-ml", "rank"]


def test_order_changes_nothing_that_a_lock_depends_on() -> None:
    services = (
        service("a", base="web", requirements=asks("httpx", "rich", packages=(COMMON, AUTH))),
        service("b", base="ml", requirements=asks("scipy")),
    )
    turned = (services[1], service("a", base="web", requirements=asks("rich", "httpx", packages=(AUTH, COMMON))))
    assert digests(fleet(*services, bases=BASES)) == digests(fleet(*turned, bases=BASES[::-1]))


ONE = fleet(service("a", base="web", requirements=asks("httpx", packages=(COMMON,))), bases=BASES)


@pytest.mark.parametrize(
    "other",
    [
        digests(ONE, python="3.12"),
        digests(ONE, projects=PROJECTS | {"libs/common": "[project]\ndependencies = ['x']"}),
        digests(fleet(service("a", base="web", requirements=asks("httpx>1", packages=(COMMON,))), bases=BASES)),
        digests(fleet(service("a", base="web", requirements=asks("httpx")), bases=BASES)),
        digests(fleet(service("a", base="ml", requirements=asks("httpx", packages=(COMMON,))), bases=BASES)),
        digests(
            fleet(
                service("a", base="web", requirements=asks("httpx", packages=(COMMON,))),
                service("b", base="web", requirements=asks("rich")),
                bases=BASES,
            )
        ),
    ],
    ids=["python", "a package's project file", "a requirement", "a package", "the base", "a neighbour in the family"],
)
def test_a_lock_depends_on(other: dict[str, str]) -> None:
    assert other["a"] != digests(ONE)["a"]


def test_a_lock_depends_on_the_family_s_build_of_torch() -> None:
    pypi = (Base("ml", extends="web", requirements=asks("torch"), torch="pypi"), *BASES[1:])
    assert digests(fleet(bases=BASES))["base-ml"] != digests(fleet(bases=pypi))["base-ml"]


def test_another_family_changes_no_lock() -> None:
    with_tool = fleet(*ONE.services, service("tool", base="other", requirements=asks("rich")), bases=BASES)
    assert digests(with_tool)["a"] == digests(ONE)["a"]


def test_two_services_that_swap_their_names_are_locked_anew() -> None:
    one, two = asks("httpx"), asks("rich")
    before = digests(
        fleet(service("a", base="web", requirements=one), service("b", base="web", requirements=two), bases=BASES)
    )
    after = digests(
        fleet(service("a", base="web", requirements=two), service("b", base="web", requirements=one), bases=BASES)
    )
    assert before["a"] != after["a"]
    assert (before["a"], before["b"]) == (after["b"], after["a"])


def test_two_services_that_swap_their_bases_are_locked_anew() -> None:
    # What a service adds is what its base lacks: the same questions at the same depth have another answer.
    bases = (Base("root"), Base("x", "root", asks("numpy")), Base("y", "root", asks("torch")))

    def found(of_a: str, of_b: str) -> dict[str, str]:
        numpy, torch = asks("numpy"), asks("torch")
        return digests(
            fleet(service("a", base=of_a, requirements=numpy), service("b", base=of_b, requirements=torch), bases=bases)
        )

    assert found("x", "y") != found("y", "x")


UV = """\
torch==2.13.0+cpu
Some.Package[extra]==1.0rc1 ; python_version > "3" \\
    --hash=sha256:bbb \\
    --hash=sha256:aaa
    # via nothing
httpx==0.28.1 \\
    --hash=sha256:ccc
"""


def test_pins_are_read_as_uv_writes_them() -> None:
    assert parse_pins(UV) == (
        Pin("Some.Package", "1.0rc1", ("sha256:aaa", "sha256:bbb")),
        Pin("httpx", "0.28.1", ("sha256:ccc",)),
        Pin("torch", "2.13.0+cpu", ()),
    )
    assert parse_pins("") == ()
    assert parse_pins("# only==1 a comment\n--index-url x\n") == ()


def test_a_wheel_of_this_machine_s_folders_lends_the_lock_no_hash() -> None:
    pins = parse_pins(UV, [("httpx", "0.28.1"), ("torch", "1")])
    assert {pin.name: pin.hashes for pin in pins}["httpx"] == ()


def test_a_lock_holds_pins_and_hashes_and_says_where_one_is_missing() -> None:
    assert lock_text(parse_pins(UV)) == (
        "# Generated by slimbake lock: the exact packages that this layer adds.\n"
        "Some.Package==1.0rc1 \\\n    --hash=sha256:aaa \\\n    --hash=sha256:bbb\n"
        "httpx==0.28.1 \\\n    --hash=sha256:ccc\n"
        "# upstream hash unresolved: locked from a folder of wheels on the machine that made this lock\n"
        "torch==2.13.0+cpu\n"
    )


def test_a_lock_read_again_is_the_same_lock() -> None:
    assert lock_text(parse_pins(lock_text(parse_pins(UV)))) == lock_text(parse_pins(UV))


def test_a_lock_has_no_address_whatever_uv_was_told() -> None:
    told = (
        f"--index-url https://user:word@index.example.com/simple\n--find-links /srv/wheels\n{UV}httpx @ file:///srv/x\n"
    )
    assert lock_text(parse_pins(told)) == lock_text(parse_pins(UV))


def test_a_family_is_a_value() -> None:
    assert families(ONE) == families(ONE)
    assert isinstance(families(ONE)[0], Family)
