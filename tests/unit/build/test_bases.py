"""Wave 1: what is missing is built and pushed once, what the registry has is stood on, and services
learn of both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from slimbake.build.prepare import Prepared
from tests.unit.fleets import unlocked
from tests.unit.registries import Registry, registry

from slimbake.build import bake, pushed
from slimbake.build import bases as first_wave
from slimbake.build.bake import Built, Result
from slimbake.build.bases import bases
from slimbake.build.command import Options, Surroundings
from slimbake.build.release import Release
from slimbake.build.released import part, released, tag
from slimbake.build.statement import mark
from slimbake.cli import slimbake
from slimbake.config.model import (
    BaseEntry,
    Manifest,
    Parity,
    Requirements,
    ServiceEntry,
    WeightsEntry,
)
from slimbake.errors import BuildError, UsageError
from slimbake.fleet import resolve
from slimbake.project import Project
from slimbake.registry import Repository
from slimbake.registry.documents import MANIFEST

SHARED = ("runtime", "base-web", "base-ml")
WRITTEN = Manifest(
    file=Path("/fleet/services.yaml"),
    project="toy",
    python="3.11",
    bases=(
        BaseEntry(name="web", requirements=Requirements(specs=("fastapi",))),
        BaseEntry(name="ml", extends="web", requirements=Requirements(specs=("torch",))),
    ),
    services=(
        ServiceEntry(name="api", context="api", base="web"),
        ServiceEntry(name="model", context="model", base="ml"),
        ServiceEntry(
            name="rank",
            context="rank",
            base="ml",
            weights=WeightsEntry("package", "a-model"),
            inference="onnx",
            parity=Parity("parity.py", "texts/a.jsonl"),
        ),
    ),
)
PROJECT = unlocked(resolve(WRITTEN))
PLAN = PROJECT.plan
INPUTS = {
    target.name: "sha256:" + f"{number:02}" * 32 for number, target in enumerate(PLAN.targets)
}


@dataclass
class Machine:
    """What stands for an engine, and what was done with it."""

    server: Registry
    standins: tuple[str, ...] = ()
    loses: bool = False  # what was pushed
    broken: tuple[str, ...] = ()  # what does not build
    built: list[str] = field(default_factory=list)
    stood_on: Mapping[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def bases(
        self, *services: str, missing: bool = True, platform: str = "", at: str = ""
    ) -> dict[str, str]:
        names = Release(registry=at or self.server.name, tag="v2", missing=missing)
        options = Options(push=True, platform=platform)
        return bases(PROJECT, PLAN, services, options, names, self.said.append)

    def has(self, name: str, platform: str = "") -> str:
        """Have the registry hold what a target would be built to; its digest."""
        fingerprint = released(PLAN, INPUTS)[name]
        fingerprint = part(fingerprint, platform) if platform else fingerprint
        digest = self.put(name, tag(fingerprint))
        repository = Repository(f"{self.server.name}/{name}")
        found = repository.document(digest)
        assert found is not None
        mark(repository, found, fingerprint, {})
        return digest

    def put(self, name: str, under: str) -> str:
        self.server.blobs["sha256:0"] = b"{}"
        content = {
            "mediaType": MANIFEST,
            "config": {"digest": "sha256:0"},
            "layers": [],
            "annotations": {"is": name},
        }
        return self.server.put(under, MANIFEST, content)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine: Any = SimpleNamespace(builder="docker", store="containerd", two_outputs=False)
    with registry(referrers=True) as server:
        made = Machine(server)

        @contextlib.contextmanager
        def prepared(
            project: Project, names: tuple[str, ...], say: Any, **given: Any
        ) -> Iterator[Prepared]:
            around = Surroundings(externals={}, standins=made.standins)
            left = given["choose"](PLAN, around)
            around = Surroundings(externals={}, pushed=given["pushed"])
            yield Prepared(project, left, engine, around)

        def build(
            _: Any,
            names: tuple[str, ...],
            root: Path,
            around: Surroundings,
            options: Options,
            smokes: bool,
        ) -> Result:
            assert not smokes
            failures = tuple(
                BuildError(f"{name} does not build") for name in names if name in made.broken
            )
            if failures and not options.keep_going:
                raise failures[0]
            held = tuple(name for name in names if name not in made.broken)
            made.built += held
            made.stood_on = dict(around.pushed)
            return Result(tuple(Built(name, f"sha256:image of {name}") for name in held), failures)

        def named(_: Any, images: tuple[Built, ...], at: str, version: str) -> dict[str, str]:
            return {image.name: f"{at}/{image.name}:{version}-{image.name}" for image in images}

        def push(names: Mapping[str, str]) -> None:
            for name, reference in names.items():
                if not made.loses:
                    made.put(name, reference.rpartition(":")[2])

        monkeypatch.setattr(first_wave, "prepared", prepared)
        monkeypatch.setattr(bake, "bake", build)
        monkeypatch.setattr(bake, "tag", named)
        monkeypatch.setattr(bake, "push", push)
        monkeypatch.setattr("slimbake.build.registered.fingerprints", lambda *_: dict(INPUTS))
        yield made


def test_all_that_services_stand_on_is_built_once_and_told_by_its_digest(
    machine: Machine, tmp_path: Path
) -> None:
    found = machine.bases("api", "model")
    assert machine.built == list(SHARED)
    assert list(found) == list(SHARED)
    assert all(found[name].startswith(f"{machine.server.name}/{name}@sha256:") for name in SHARED)
    pushed.write_pushed(tmp_path / "bases.json", found)
    assert pushed.read_pushed([tmp_path / "bases.json"], PLAN) == found


def test_only_what_the_named_services_need_is_built(machine: Machine) -> None:
    assert list(machine.bases("api")) == ["runtime", "base-web"]
    assert machine.built == ["runtime", "base-web"]


def test_exported_models_and_references_are_pushed_and_told_and_what_they_are_made_on_is_not(
    machine: Machine,
) -> None:
    first = machine.bases("rank")
    exports = ["weights-a-model-onnx-fp32", "reference-a-model-a"]
    assert machine.built == list(first) == ["runtime", "base-web", "base-ml-onnx", *exports]
    machine.built.clear()
    assert machine.bases("rank") == first
    assert machine.built == []


def test_an_export_that_fails_is_told_of_and_keeps_nothing_else_from_being_pushed(
    machine: Machine,
) -> None:
    machine.broken = ("weights-a-model-onnx-fp32",)
    found = machine.bases("rank")
    assert (
        list(found)
        == machine.built
        == ["runtime", "base-web", "base-ml-onnx", "reference-a-model-a"]
    )
    assert machine.said[-1] == "weights-a-model-onnx-fp32 does not build"


def test_a_base_that_fails_ends_it_before_anything_is_exported(machine: Machine) -> None:
    machine.broken = ("base-ml-onnx",)
    with pytest.raises(BuildError, match="base-ml-onnx does not build"):
        machine.bases("rank")
    assert machine.built == []


def test_a_second_run_builds_none_and_gives_the_same_digests(machine: Machine) -> None:
    first = machine.bases("api", "model")
    machine.built.clear()
    assert machine.bases("api", "model") == first
    assert machine.built == []
    assert machine.said[-1] == "on the registry: runtime, base-web, base-ml"


def test_what_is_missing_is_built_on_what_is_there(machine: Machine) -> None:
    there = {
        name: f"{machine.server.name}/{name}@{machine.has(name)}"
        for name in ("runtime", "base-web")
    }
    found = machine.bases("model")
    assert machine.built == ["base-ml"]
    assert machine.stood_on == there
    assert {name: found[name] for name in there} == there
    assert "v2" in machine.server.manifests  # what was there has the tag of this version


def test_without_missing_all_is_built(machine: Machine) -> None:
    machine.has("runtime")
    machine.bases("api", missing=False)
    assert machine.built == ["runtime", "base-web"]


def test_what_was_built_for_all_platforms_is_not_taken_for_one_of_them(machine: Machine) -> None:
    machine.has("runtime")
    machine.has("base-web", "linux/arm64")
    machine.bases("api", platform="linux/arm64")
    assert machine.built == ["runtime"]


def test_a_base_that_the_registry_lost_at_once_is_an_error(machine: Machine) -> None:
    machine.loses = True
    with pytest.raises(BuildError, match="was pushed, and the registry does not have it"):
        machine.bases("api")


def test_what_stands_in_for_an_external_is_pushed_to_loopback_alone(machine: Machine) -> None:
    machine.standins = ("python",)
    assert list(machine.bases("api")) == ["runtime", "base-web"]
    with pytest.raises(UsageError, match="images made with stand-ins"):
        machine.bases("api", at="registry.example.com/toy")


def test_nothing_is_pushed_without_being_asked_for(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    file = tmp_path / "services.yaml"
    file.write_text('project: toy\npython: "3.11"\nservices: {api: {context: api}}\n')
    done = CliRunner().invoke(slimbake, ["bases", "--manifest", str(file)])
    assert isinstance(done.exception, UsageError)
    assert (done.exception.message, done.exception.hint) == (
        "what services share is built alone for those that are built elsewhere",
        "--push",
    )
