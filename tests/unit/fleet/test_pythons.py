"""Several Pythons of one fleet: who has which, and what is called after it."""

from tests.unit.fleets import COMMON, asks, fleet, service

from slimbake.config.model import BaseEntry, ExternalEntry, VariantEntry, WeightsEntry

MODEL = WeightsEntry("package", "a-model")
BASES = (
    BaseEntry("web", requirements=asks("fastapi")),
    BaseEntry("ml", requirements=asks("torch", packages=(COMMON,)), python="3.13"),
    BaseEntry("vision", extends="ml", requirements=asks("timm")),
)
SERVICES = (
    service("api", base="web", requirements=asks(packages=(COMMON,))),
    service("see", base="vision", weights=MODEL),
    service("rank", base="ml", weights=MODEL, inference="onnx"),
    service("alone", python="3.12"),
)
TWO = {"first": "3.12", "second": "3.13"}
FLEET = fleet(*SERVICES, bases=BASES)


def test_what_says_no_python_has_that_of_its_base_or_else_the_fleet_s() -> None:
    assert {name: scope.python.version for name, scope in FLEET.scopes.items()} == {
        "base-web": "3.11",
        "base-ml": "3.13",
        "base-vision": "3.13",
        "base-ml-onnx": "3.13",
        "base-ml-export": "3.13",
        "api": "3.11",
        "see": "3.13",
        "rank": "3.13",
        "alone": "3.12",
        "weights-a-model": "3.13",
        "weights-a-model-onnx-fp32": "3.13",
        "wheel-common": "3.11",
        "wheel-common-3_13": "3.13",
    }
    assert [python.version for python in FLEET.pythons] == ["3.11", "3.12", "3.13"]


def test_a_package_of_the_repository_is_built_for_each_python_that_installs_it() -> None:
    wheels = {base.name: [p.scope.name for p in base.packages] for base in FLEET.bases}
    assert wheels["ml"] == ["wheel-common-3_13"]
    assert [p.scope.name for p in FLEET.service("api").packages] == ["wheel-common"]


def test_names_say_no_python_but_another_than_the_fleet_s() -> None:
    own, other, _ = FLEET.pythons
    assert (own.runtime, own.image, own.builder, own.suffix) == ("runtime", "python", "builder", "")
    assert (other.runtime, other.image, other.builder, other.suffix) == (
        *("runtime-3_12", "python-3.12", "builder-3.12", "-3.12"),
    )
    assert other.program == "python3.12"


def test_weights_have_the_python_of_the_first_service_that_uses_them() -> None:
    using = [service(name, python=python, weights=MODEL) for name, python in TWO.items()]
    assert {weights.scope.python.version for weights in fleet(*using).weights} == {"3.12"}


def test_each_python_has_an_image_by_pattern_or_of_its_own() -> None:
    entries = (
        ExternalEntry("python", "mine/python:{version}"),
        ExternalEntry("python", "mine/other:12", "3.12"),
        ExternalEntry("builder", "mine/builder:13", "3.13"),
    )
    images = {
        each.name: each.image for each in fleet(*SERVICES, bases=BASES, externals=entries).externals
    }
    assert {name: image for name, image in images.items() if name != "uv"} == {
        "python": "mine/python:3.11",
        "builder": "mine/python:3.11",
        "python-3.12": "mine/other:12",
        "builder-3.12": "mine/other:12",
        "python-3.13": "mine/python:3.13",
        "builder-3.13": "mine/builder:13",
    }


def test_a_variant_of_a_base_has_its_python_and_so_has_what_stands_on_it() -> None:
    variants = (VariantEntry("py311", python="3.11"), VariantEntry("py313", python="3.13"))
    base = BaseEntry("web", requirements=asks("fastapi"), variants=variants)
    found = fleet(service("a", base="web"), service("b", python="3.13"), bases=(base,))
    assert {s.name: s.scope.python.version for s in found.services} == {
        "a": "3.11",
        "a-py313": "3.13",
        "b": "3.13",
    }
    assert {b.name: b.scope.python.version for b in found.bases} == {
        "web": "3.11",
        "web-py313": "3.13",
    }


def test_a_variant_of_a_service_copies_the_bases_that_have_another_python() -> None:
    bases = (
        BaseEntry("web", requirements=asks("fastapi")),
        BaseEntry("ml", extends="web", requirements=asks("numpy")),
    )
    variants = (VariantEntry("now", python="3.11"), VariantEntry("soon", python="3.13"))
    found = fleet(service("a", base="ml", variants=variants), bases=bases)
    chains = {s.name: [scope.name for scope in s.scope.chain] for s in found.services}
    assert chains == {
        "a": ["base-web", "base-ml"],
        "a-soon": ["base-web-soon", "base-ml-soon"],
    }
    assert {s.python.version for s in found.service("a-soon").scope.closure} == {"3.13"}
