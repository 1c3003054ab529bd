"""What a resolved fleet says of each scope: its name and lock, what is below it and what holds it."""

from dataclasses import replace

from tests.unit.fleets import AUTH, COMMON, asks, fleet, service

from slimbake.config.model import BaseEntry, Healthcheck, VariantEntry, WeightsEntry
from slimbake.fleet import with_digests
from slimbake.fleet.model import Base, Service

MODEL = WeightsEntry("package", "a-model")
BASES = (
    BaseEntry("vision", extends="ml", requirements=asks("timm")),
    BaseEntry("ml", extends="web", requirements=asks("torch"), torch="cpu"),
    BaseEntry("web", requirements=asks("fastapi", packages=(COMMON,))),
    BaseEntry("spare", requirements=asks("click")),
)
SERVICES = (
    service("api", base="web", requirements=asks("httpx")),
    service("see", base="vision", requirements=asks(packages=(COMMON, AUTH)), weights=MODEL),
    service("rank", base="ml", weights=MODEL, inference="onnx", precision="int8"),
    service("alone", requirements=asks("rich", packages=(COMMON,))),
)
FLEET = fleet(*SERVICES, bases=BASES)


def test_a_lock_is_called_as_its_scope_and_exported_weights_have_that_of_their_origin() -> None:
    others = {name: scope.lock for name, scope in FLEET.scopes.items() if name != scope.lock}
    assert others == {"weights-a-model-onnx-int8": "weights-a-model"}
    assert FLEET.scopes["base-ml"].system_lock == "base-ml.system"
    assert FLEET.scopes["api"].system_lock == "api.system"


def test_weights_are_distinguished_from_those_that_they_are_exported_from() -> None:
    plain, exported = FLEET.weights
    assert (plain.name, plain.export, plain.origin) == ("a-model", None, None)
    assert (exported.name, exported.origin) == ("a-model-onnx-int8", plain)
    assert exported.export and exported.export.base == FLEET.scopes["base-ml-export"]


def test_bases_come_after_those_that_they_stand_on_and_export_for() -> None:
    order = "web ml vision ml-onnx ml-export spare"
    assert [base.name for base in FLEET.bases] == order.split()


def test_a_chain_is_all_that_lies_below_with_the_bottom_first() -> None:
    scopes = {name: scope for name, scope in FLEET.scopes.items() if scope.chain}
    chains = {name: [each.name for each in scope.chain] for name, scope in scopes.items()}
    assert chains == {
        "base-ml": ["base-web"],
        "base-ml-onnx": ["base-web"],
        "base-vision": ["base-web", "base-ml"],
        "api": ["base-web"],
        "see": ["base-web", "base-ml", "base-vision"],
        "rank": ["base-web", "base-ml-onnx"],
    }
    see = FLEET.service("see")
    assert [base.scope for base in see.bases] == list(see.scope.chain)
    assert see.scope.closure == (*see.scope.chain, see.scope)
    assert see.base == see.bases[-1]


def test_a_scope_s_services_are_those_whose_images_hold_it() -> None:
    scopes = FLEET.scopes.items()
    shared = {name: scope for name, scope in scopes if scope.kind not in ("service", "wheel")}
    services = {name: scope.services for name, scope in shared.items()}
    assert services == {
        "base-web": ("api", "see", "rank"),
        "base-ml": ("see",),
        "base-ml-onnx": ("rank",),
        "base-ml-export": (),
        "base-vision": ("see",),
        "base-spare": (),
        "weights-a-model": ("see",),
        "weights-a-model-onnx-int8": ("rank",),
    }
    assert all(each.scope.services == (each.name,) for each in FLEET.services)


def test_a_scope_is_built_for_all_that_anything_on_it_is_and_else_for_what_the_fleet_is() -> None:
    amd64, arm64 = "linux/amd64", "linux/arm64"
    said = {"api": (arm64,), "see": (amd64,), "rank": (arm64, amd64)}
    services = [replace(each, platforms=said.get(each.name, ())) for each in SERVICES]
    found = fleet(*services, bases=BASES)
    both = (amd64, arm64)
    alone = ("base-ml", "base-vision", "base-spare", "see", "alone", "wheel-auth")
    expected = dict.fromkeys(found.scopes, both) | dict.fromkeys(alone, (amd64,))
    expected |= {"api": (arm64,)}
    assert {name: scope.platforms for name, scope in found.scopes.items()} == expected
    assert found.every_platform == both


def test_packages_that_a_base_has_are_asked_for_and_not_installed_above_it() -> None:
    every: tuple[Base | Service, ...] = (*FLEET.bases, *FLEET.services)
    having = [each for each in every if each.scope.asks.packages]
    installed = {each.scope.name: [package.name for package in each.packages] for each in having}
    assert installed == {"base-web": ["common"], "see": ["auth"], "alone": ["common"]}
    assert FLEET.scopes["see"].asks.packages == (COMMON, AUTH)


def test_digests_of_locks_pin_externals_unless_the_manifest_does() -> None:
    python = FLEET.external("python").image
    found = with_digests(FLEET, {("python", python): "sha256:2", ("builder", python): "sha256:1"})
    assert found.external("python").reference == f"{python}@sha256:2"
    assert found.external("builder").reference == f"{python}@sha256:1"
    assert found.external("uv").reference == FLEET.external("uv").image
    assert replace(found.external("python"), image="mine@sha256:2").reference == "mine@sha256:2"


# --- variants and exports together


def test_two_services_may_have_one_port_and_the_host_has_another_for_the_second() -> None:
    services = (
        service("first", port=8000),
        service("second", port=8000),
        service("third", port=9000),
        service("fourth", port=8001, publish=9000),
        service("job"),
        service("two", port=5000, variants=(VariantEntry("cpu"), VariantEntry("gpu"))),
    )
    found = {each.name: each.publish for each in fleet(*services).services}
    assert found == {
        "first": 8000,
        "second": 0,
        "third": 0,  # the one that says so has it, wherever it stands
        "fourth": 9000,
        "job": None,
        "two": 5000,
        "two-gpu": 5000,  # variants stand in for each other
    }


def test_a_service_with_a_port_is_well_while_it_takes_connections() -> None:
    said = Healthcheck(interval="1m", retries=1)
    found = {
        each.name: each.healthcheck
        for each in fleet(
            service("serves", port=8000),
            service("slowly", port=8000, healthcheck=said),
            service("own", healthcheck=Healthcheck(("python", "-m", "well"))),
            service("silent", port=8000, healthcheck=Healthcheck(off=True)),
            service("job"),
            service("theirs", port=8000, dockerfile="Dockerfile"),
            service("said", dockerfile="Dockerfile", healthcheck=Healthcheck(("well",), "1m")),
            service("times", dockerfile="Dockerfile", healthcheck=said),
            service("off", dockerfile="Dockerfile", healthcheck=Healthcheck(off=True)),
            service("on", dockerfile="Dockerfile", port=80, healthcheck=Healthcheck()),
        ).services
    }
    code = "import socket; socket.create_connection(('localhost', 8000), 4)"
    test = ("python", "-I", "-S", "-c", code)
    assert found == {
        "serves": Healthcheck(test, "10s", "5s", "5m", 3),
        "slowly": Healthcheck(test, "1m", "5s", "5m", 1),
        "own": Healthcheck(("python", "-m", "well"), "10s", "5s", "5m", 3),
        "silent": None,
        "job": None,
        "theirs": None,
        "said": Healthcheck(("well",), "1m", "5s", "5m", 3),
        "times": said,  # the test is the image's
        "off": Healthcheck(off=True),
        "on": None,
    }
