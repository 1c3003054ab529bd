"""What a bake takes from a registry."""

from tests.unit.fleets import COMMON, asks, planned, service

from slimbake.config.model import BaseEntry
from slimbake.release.command import BakeOptions, Surroundings, arguments

WEB, ML = (
    BaseEntry("web", requirements=asks("fastapi")),
    BaseEntry("ml", requirements=asks("torch"), extends="web"),
)
FLEET = planned(
    service("api", base="web", smoke="smoke.py", requirements=asks(packages=(COMMON,))),
    service("nlg", base="ml", smoke="smoke.py"),
    service("hybrid", base="ml", smoke="smoke.py"),
    service("client"),
    bases=(WEB, ML),
    registry="registry.example.com/atlas",
)


def test_a_bake_takes_its_bases_from_the_registry_and_builds_none() -> None:
    pushed = {
        name: f"registry.example.com/atlas/{name}@sha256:{name}" for name in ("runtime", "base-web")
    }
    names = ("api", "api-smoke")
    options = BakeOptions(names={"api": "registry.example.com/atlas/api:staged"}, push=True)
    words = arguments(FLEET, names, Surroundings(externals={}, pushed=pushed), options)
    assert words[-4:] == ("inside", "wheel-common", "api", "api-smoke")
    assert (
        "api.contexts.base=docker-image://registry.example.com/atlas/base-web@sha256:base-web"
        in words
    )
    assert (
        "wheel-common.contexts.runtime=docker-image://registry.example.com/atlas/runtime@sha256:runtime"
        in words
    )
    assert "api.tags=registry.example.com/atlas/api:staged" in words
    kind = FLEET.compression
    assert [word for word in words if word.startswith("api.output=")] == [
        "api.output=type=image,push=true,oci-mediatypes=true"
        f",compression={kind.type},compression-level={kind.level},force-compression=true"
    ]
    assert not [word for word in words if word.startswith("api-smoke.output")]
