"""Shards: which node builds what, what it takes from the registry, and what happens when a node is
lost.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fleets import COMMON, asks, fleet, service

from slimbake.build.bake import NodeLost
from slimbake.build.command import BakeOptions, Surroundings, arguments, environment
from slimbake.build.costs import UNKNOWN, estimated, measured_costs
from slimbake.build.events import BuildStep, Vertex, lost
from slimbake.build.nodes import DoneShard, Images, Tell, run_shards
from slimbake.build.split import Shard, jobs, split
from slimbake.build.timing import costs, keep_costs
from slimbake.config.model import BaseEntry, Parity, Precision, WeightsEntry
from slimbake.console import QUIET, Console
from slimbake.errors import BuildError, CheckError, SlimbakeError
from slimbake.host.workspace import Workspace
from slimbake.plan import plan
from slimbake.plan.model import Plan

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
ALL = tuple(each.service for each in FLEET.services)
SECONDS = {
    "runtime": 2.0,
    "base-web": 2.0,
    "base-ml": 14.0,
    "api": 1.0,
    "nlg": 2.0,
    "nlg-smoke": 13.0,
}
ONE_LOST = 2
T = TypeVar("T")
ON_ONNX: dict[str, Any] = {
    "weights": WeightsEntry("package", "a-model"),
    "inference": "onnx",
    "parity": Parity("parity.py", "texts/a.jsonl"),
}


def dealt(
    of: Plan, costs: Mapping[str, float], nodes: int, linked: bool = True
) -> tuple[Shard, ...]:
    services = tuple(each.service for each in of.services)
    return split(of, services, estimated(of, costs), nodes, linked)


def independent(costs: list[float]) -> tuple[Plan, dict[str, float]]:
    """Services that share nothing which takes time."""
    names = [f"s{number:02}" for number in range(len(costs))]
    made = plan(fleet(*(service(name, dockerfile=f"services/{name}/Dockerfile") for name in names)))
    return made, dict.fromkeys((target.name for target in made.targets), 0.0) | dict(
        zip(names, costs, strict=True)
    )


# --- the split


def test_what_stands_on_web_does_not_wait_for_ml() -> None:
    shards = dealt(FLEET, SECONDS, 2)
    of = {name: shard for shard in shards for name in shard.targets}
    assert of["runtime"] is of["base-web"] is of["base-ml"], "one bake, which waits for no other"
    assert of["api"].needs == ("base-web", "runtime")
    assert of["hybrid"].needs == ("base-ml", "base-web"), "to count their files"
    assert of["api"].node == of["hybrid"].node != of["base-ml"].node
    assert of["api"].begins < of["base-ml"].begins + of["base-ml"].seconds
    assert [shard.wave for shard in shards][:2] == [1, 2]


def test_one_node_builds_all_in_one_bake() -> None:
    (shard,) = dealt(FLEET, SECONDS, 1)
    assert {*shard.targets} == {"runtime", "base-web", "base-ml", *ALL}
    assert shard.needs == ()


def test_where_each_target_of_a_bake_may_come_to_another_machine_what_is_shared_is_baked_alone() -> (
    None
):
    *bases, last = (shard.targets for shard in dealt(FLEET, SECONDS, 1, linked=False))
    assert bases == [("runtime",), ("base-web",), ("base-ml",)]
    assert {*last} == {*ALL}


def test_what_is_not_pushed_is_built_where_it_is_needed_and_counts_once_for_a_node() -> None:
    found = {job.name: job for job in jobs(FLEET, ALL, estimated(FLEET, SECONDS))}
    assert found["api"].private == ("inside", "wheel-common", "base-web-inventory")
    assert found["api"].needs == ("runtime", "base-web")
    assert found["client"].needs == ("runtime",)
    assert (found["nlg"].own, found["base-ml"].own) == (17.0, 14.0), "its smoke and its inventory"


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Plan, dict[str, float], int]:
    bases = [BaseEntry("b0", requirements=asks("b0"))]
    for number in range(1, draw(st.integers(1, 4))):
        below = draw(st.sampled_from(["", *(base.name for base in bases)]))
        bases.append(BaseEntry(f"b{number}", requirements=asks(f"b{number}"), extends=below))
    names = [f"s{number:02}" for number in range(draw(st.integers(1, 24)))]
    choice = st.sampled_from(["", *(base.name for base in bases)])
    services = [service(name, base=draw(choice), smoke="smoke.py") for name in names]
    services = [
        replace(each, **ON_ONNX) if each.base and draw(st.booleans()) else each for each in services
    ]
    made = plan(fleet(*services, bases=tuple(bases)))
    seconds = {target.name: draw(st.floats(0.1, 60)) for target in made.targets}
    return made, seconds, draw(st.integers(1, 9))


@given(fleets(), st.booleans())
def test_everything_is_in_exactly_one_shard_after_what_it_stands_on(
    given: tuple[Plan, dict[str, float], int], linked: bool
) -> None:
    made, seconds, nodes = given
    shards = dealt(made, seconds, nodes, linked)
    services = tuple(each.service for each in made.services)
    needed = made.needed(made.with_checks(services))
    shared = [
        t.name
        for t in needed
        if t.kind in ("runtime", "base", "reference") or t.name.startswith("weights-a-model-onnx-")
    ]
    assert sorted(name for shard in shards for name in shard.targets) == sorted(
        (*services, *shared)
    )
    where = {name: shard for shard in shards for name in shard.targets}
    for shard in shards:
        assert shard.node < nodes
        assert all(where[need].number < shard.number for need in shard.needs), (
            "each follows what it stands on"
        )
        for job in jobs(made, services, estimated(made, seconds)):
            for need in job.needs if job.name in shard.targets else ():
                before = where[need]
                if before is shard:
                    assert linked
                    assert shard.targets.index(need) < shard.targets.index(job.name)
                    continue
                assert need in shard.needs
                assert before.wave < shard.wave
                assert before.begins < shard.begins
                assert linked or before.begins + before.seconds <= shard.begins + 1e-6
    for node in range(nodes):
        own = [shard for shard in shards if shard.node == node]
        for first, second in itertools.pairwise(own):
            assert first.begins + first.seconds <= second.begins + 1e-6, (
                "a node builds one after the other"
            )
    again = dealt(made, dict(reversed(seconds.items())), nodes, linked)
    assert again == shards, "the same at each call"


@given(st.lists(st.integers(1, 40).map(float), min_size=1, max_size=7), st.integers(1, 3))
def test_what_is_independent_takes_at_most_four_thirds_of_the_best(
    costs: list[float], nodes: int
) -> None:
    made, seconds = independent(costs)
    took = max(shard.begins + shard.seconds for shard in dealt(made, seconds, nodes))
    best = min(
        max(
            sum(cost for cost, at in zip(costs, places, strict=True) if at == node)
            for node in range(nodes)
        )
        for places in itertools.product(range(nodes), repeat=len(costs))
    )
    assert took <= best * (4 / 3 - 1 / (3 * nodes)) + 1e-6


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


# --- what a shard's bake gets


def test_a_shard_takes_its_bases_from_the_registry_and_builds_none() -> None:
    pushed = {
        name: f"registry.example.com/atlas/{name}@sha256:{name}" for name in ("runtime", "base-web")
    }
    names = ("api", "api-smoke")
    options = BakeOptions(
        names={"api": "registry.example.com/atlas/api:staged"}, push=True, builder="two"
    )
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
    assert environment(Surroundings(externals={}), options)["BUILDX_BUILDER"] == "two"


@pytest.mark.parametrize(
    ("error", "log", "expected"),
    [
        ("rpc error: code = Unavailable desc = error reading from server: EOF", [], True),
        ("dial tcp 10.0.0.7:1234: connect: connection refused", [], True),
        (
            'process "pip" did not complete successfully: exit code: 1',
            ["connection refused"],
            False,
        ),
        ("connection refused", ["the index: connection refused"], False),
    ],
)
def test_a_lost_node_is_distinguished_from_a_step_that_fails(
    error: str, log: list[str], expected: bool
) -> None:
    assert lost(Vertex(BuildStep("api", "x", "RUN x"), "failed", error=error, log=log)) is expected


# --- running them


class Nodes:
    """Builders that note what they are asked for; `breaks`: (builder, target) -> what is raised, so
    many times.
    """

    def __init__(self, breaks: Mapping[tuple[str, str], tuple[int, Exception]] = {}) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.seen: dict[int, set[str]] = {}
        self.said: list[str] = []
        self._breaks = {key: list(value) for key, value in breaks.items()}
        self._lock = threading.Lock()

    def run(
        self,
        shard: Shard,
        builder: str,
        images: Mapping[str, str],
        tell: Tell,
    ) -> tuple[dict[str, str], str]:
        with self._lock:
            self.asked.append((builder, shard.targets))
            self.seen[shard.number] = set(images)
            for name in shard.targets:
                left = self._breaks.get((builder, name))
                if left and left[0]:
                    left[0] -= 1  # type: ignore[operator]
                    raise left[1]  # type: ignore[misc]
        return {name: f"{name}@sha256:{name}" for name in shard.targets}, builder

    def bake(
        self, shards: tuple[Shard, ...], names: tuple[str, ...] = ("one", "two")
    ) -> tuple[tuple[DoneShard[str], ...], tuple[SlimbakeError, ...]]:
        return run_shards(shards, names, self.run, lambda: None, Console(self.said.append), apart=0)


def built(done: tuple[DoneShard[T], ...]) -> set[str]:
    """The targets of the shards that came to their end."""
    return {name for each in done for name in each.images}


@pytest.mark.parametrize("linked", [True, False])
def test_each_shard_runs_once_where_it_is_planned_when_its_bases_are_pushed(linked: bool) -> None:
    shards, nodes = dealt(FLEET, SECONDS, 2, linked), Nodes()
    done, failures = nodes.bake(shards)
    assert (built(done), failures) == ({"runtime", "base-web", "base-ml", *ALL}, ())
    assert [each.shard for each in done] == list(shards)
    assert all(each.result == each.node == ("one", "two")[each.shard.node] for each in done)
    assert sorted(nodes.asked) == sorted(
        (("one", "two")[shard.node], shard.targets) for shard in shards
    )
    assert all({*shard.needs} <= nodes.seen[shard.number] for shard in shards)


def test_a_shard_begins_when_what_it_needs_is_pushed_though_its_bake_goes_on() -> None:
    shards, begun = dealt(FLEET, SECONDS, 2), threading.Event()
    web, rest = {"runtime": "r@1", "base-web": "w@1"}, {"base-ml": "m@1", "nlg": "n@1"}

    def run(shard: Shard, builder: str, images: Images, tell: Tell) -> tuple[dict[str, str], None]:
        if "base-ml" in shard.targets:
            tell(web)
            assert begun.wait(20), "nobody began"
            return {**web, **rest}, None
        if "api" in shard.targets:
            assert {*web} <= {*images}
            assert "base-ml" not in images
            begun.set()
        return dict.fromkeys(shard.targets, "image"), None

    done, failures = run_shards(shards, ("one", "two"), run, lambda: None, QUIET, apart=0)
    assert (built(done), failures) == ({"runtime", "base-web", "base-ml", *ALL}, ())


def test_what_was_pushed_before_a_bake_failed_serves_others() -> None:
    shards = dealt(FLEET, SECONDS, 2)
    seen: list[str] = []

    def run(shard: Shard, builder: str, images: Images, tell: Tell) -> tuple[dict[str, str], None]:
        if "base-ml" in shard.targets:
            tell({"runtime": "r@1", "base-web": "w@1"})
            raise BuildError("base-ml does not build")
        seen.extend(shard.targets)
        return dict.fromkeys(shard.targets, "image"), None

    _, (error,) = run_shards(shards, ("one", "two"), run, lambda: None, QUIET, apart=0)
    assert error.message == "base-ml does not build"
    assert {*seen} == {"api", "client"}


def test_a_shard_whose_node_is_lost_is_built_once_more_elsewhere_and_so_is_all_that_follows() -> (
    None
):
    shards = dealt(FLEET, SECONDS, 2, linked=False)
    nodes = Nodes({("one", "base-web"): (9, NodeLost("gone"))})
    done, failures = nodes.bake(shards)
    assert (built(done), failures) == ({"runtime", "base-web", "base-ml", *ALL}, ())
    assert {each.node for each in done if "base-web" in each.images} == {"two"}
    assert [builder for builder, targets in nodes.asked if targets == ("base-web",)] == [
        "one",
        "two",
    ]
    assert [builder for builder, targets in nodes.asked if "base-ml" in targets] == ["two"]
    assert "shard 2: one is lost; once more, elsewhere" in nodes.said


def test_a_node_that_is_lost_twice_fails_its_shard_and_what_stands_on_it_and_nothing_else() -> None:
    nodes = Nodes({(name, "base-ml"): (9, NodeLost("gone")) for name in ("one", "two")})
    done, (error,) = nodes.bake(dealt(FLEET, SECONDS, 2, linked=False))
    assert isinstance(error, BuildError)
    assert "base-ml" in error.message
    assert "gone" in error.message
    assert built(done) == {"runtime", "base-web", "api", "client"}
    assert [builder for builder, targets in nodes.asked if targets == ("base-ml",)] == [
        "one",
        "two",
    ]
    assert not [targets for _, targets in nodes.asked if "nlg" in targets]
    assert {name for _, targets in nodes.asked for name in targets} >= {"api", "client"}


def test_one_builder_that_balances_is_asked_again_itself() -> None:
    nodes = Nodes({("kube", "base-web"): (1, NodeLost("the pod is gone"))})
    _, failures = nodes.bake(dealt(FLEET, SECONDS, 2, linked=False), ("kube", "kube"))
    assert failures == ()
    assert [targets for _, targets in nodes.asked].count(("base-web",)) == ONE_LOST


def test_a_build_or_smoke_that_fails_is_not_tried_elsewhere() -> None:
    nodes = Nodes(
        {(name, "api"): (9, CheckError("the smoke of api failed")) for name in ("one", "two")}
    )
    _, (error,) = nodes.bake(dealt(FLEET, SECONDS, 2, linked=False))
    assert isinstance(error, CheckError)
    assert error.message == "the smoke of api failed"
    assert len([1 for _, targets in nodes.asked if "api" in targets]) == 1
    assert [1 for _, targets in nodes.asked if "nlg" in targets] != []


def test_an_interruption_ends_every_build() -> None:
    shards, ended = dealt(FLEET, SECONDS, 2), threading.Event()

    def run(shard: Shard, builder: str, images: Images, tell: Tell) -> tuple[dict[str, str], None]:
        if "base-ml" in shard.targets:
            raise KeyboardInterrupt
        if shard.needs and "base-web" not in shard.targets:
            ended.wait()
            raise BuildError("cancelled")
        return dict.fromkeys(shard.targets, "image"), None

    with pytest.raises(KeyboardInterrupt):
        run_shards(shards, ("one", "two"), run, ended.set, QUIET, apart=0)
