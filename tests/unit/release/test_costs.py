"""What targets cost in seconds, and what a bake takes from a registry."""

from __future__ import annotations

from pathlib import Path

from tests.unit.fleets import COMMON, asks, fleet, service

from slimbake.config.model import BaseEntry, Precision, WeightsEntry
from slimbake.host.workspace import Workspace
from slimbake.plan import plan
from slimbake.release.command import BakeOptions, Surroundings, arguments
from slimbake.release.costs import UNKNOWN, estimated, measured_costs
from slimbake.release.events import BuildStep, Vertex
from slimbake.release.timing import costs, keep_costs

WEB, ML = (
    BaseEntry("web", requirements=asks("fastapi")),
    BaseEntry("ml", requirements=asks("torch"), extends="web"),
)
FLEET = plan(
    fleet(
        service("api", base="web", smoke="smoke.py", requirements=asks(packages=(COMMON,))),
        service("nlg", base="ml", smoke="smoke.py"),
        service("hybrid", base="ml", smoke="smoke.py"),
        service("client"),
        bases=(WEB, ML),
        registry="registry.example.com/atlas",
    )
)
SECONDS = {
    "runtime": 2.0,
    "base-web": 2.0,
    "base-ml": 14.0,
    "api": 1.0,
    "nlg": 2.0,
    "nlg-smoke": 13.0,
}


# --- costs


def test_what_was_not_measured_costs_what_others_on_its_base_do() -> None:
    costs = estimated(FLEET, SECONDS)
    assert (costs["hybrid"], costs["hybrid-smoke"], costs["client"]) == (2.0, 13.0, 1.5)
    assert set(estimated(FLEET, {}).values()) == {UNKNOWN}


def test_an_export_that_was_not_measured_does_not_cost_what_a_copy_of_weights_does() -> None:
    said = {"base": "ml", "weights": WeightsEntry("package", "a-model"), "inference": "onnx"}
    services = (service(name, precision=Precision(name), **said) for name in ("fp32", "fp16"))
    made = plan(fleet(*services, bases=(BaseEntry("ml", requirements=asks("torch")),)))
    assert (
        estimated(made, {"weights-a-model": 1.0, "base-ml": 60.0, "runtime": 20.0})[
            "weights-a-model-onnx-fp16"
        ]
        == 20
    )


def test_only_what_was_built_from_its_first_step_on_was_measured() -> None:
    def vertex(target: str, state: str, seconds: float) -> Vertex:
        return Vertex(BuildStep(target, "x", "RUN x"), state, seconds=seconds)  # type: ignore[arg-type]

    steps = [
        vertex("api", "done", 1.5),
        vertex("api", "done", 0.5),
        vertex("nlg", "cached", 0),
        vertex("nlg", "done", 9),
    ]
    assert measured_costs(steps) == {"api": 2.0}


def test_costs_are_kept_between_bakes_and_a_broken_file_is_none(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    keep_costs(workspace, {"api": 2.0, "nlg": 3.0})
    keep_costs(workspace, {"api": 1.0})
    assert costs(workspace) == {"api": 1.0, "nlg": 3.0}
    for broken in ("[1", "[1]", '{"api": null}', '{"api": "soon"}'):
        (tmp_path / ".slimbake/costs.json").write_text(broken)
        assert costs(workspace) == {}


# --- what a bake takes from a registry


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
