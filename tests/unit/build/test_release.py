"""`--missing`: what the registry has is tagged and not built; what is built is pushed with its
fingerprint.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slimbake.build.prepare import Prepared
from tests.unit.fleets import fleet, service, unlocked
from tests.unit.registries import Registry, registry

from slimbake.build import bake
from slimbake.build import release as releasing
from slimbake.build.bake import Built, Result
from slimbake.build.command import Options, Surroundings
from slimbake.build.release import Release, Released, release
from slimbake.build.released import released, tag
from slimbake.build.statement import mark
from slimbake.errors import BuildError, CheckError, SlimbakeError, UsageError
from slimbake.images.sizes import Measurement
from slimbake.plan import plan
from slimbake.project import Project
from slimbake.registry import Repository
from slimbake.registry.documents import MANIFEST

SERVICES = ("one", "two", "three")
PLAN = plan(fleet(*map(service, SERVICES)))


def project(root: Path) -> Project:
    return unlocked(fleet(*map(service, SERVICES), file=root / "services.yaml"))


@dataclass
class Machine:
    """What stands for an engine, the disk and the network, and what was done with them."""

    root: Path
    inputs: dict[str, str] = field(
        default_factory=lambda: {name: f"sha256:{name}" for name in SERVICES}
    )
    standins: tuple[str, ...] = ()
    over: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[SlimbakeError, ...] = ()
    edited: Mapping[str, str] = field(default_factory=dict)  # while it was built
    fetched: tuple[str, ...] = ()  # services that anything was fetched for
    built: list[str] = field(default_factory=list)
    pushed: dict[str, str] = field(default_factory=dict)  # service -> name
    marked: dict[str, str] = field(default_factory=dict)  # service -> fingerprint
    said: list[str] = field(default_factory=list)
    asked_with: list[Mapping[str, str]] = field(default_factory=list)  # variables

    @property
    def fingerprints(self) -> dict[str, str]:
        return released(PLAN, self.inputs)

    def release(
        self, server: Registry, *names: str, missing: bool = True, **options: Any
    ) -> Released:
        names = names or SERVICES
        given = Options(**({"push": True} | options))
        return release(
            project(self.root),
            names,
            given,
            Release(registry=server.name, tag="v2", missing=missing),
            self.said.append,
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine: Any = SimpleNamespace(builder="docker", store="containerd", two_outputs=False)

    @contextlib.contextmanager
    def prepared(
        project: Project, services: tuple[str, ...], say: Any, *, choose: Any, **_: Any
    ) -> Iterator[Prepared]:
        around = Surroundings(externals={}, standins=made.standins)
        made.fetched = choose(PLAN, around)
        yield Prepared(project, made.fetched, engine, around)

    def build(_: Any, services: tuple[str, ...], *rest: Any) -> Result:
        made.built += services
        made.inputs |= made.edited
        return Result(
            tuple(Built(name, f"sha256:image of {name}") for name in services), made.failures
        )

    def publish(
        _: Any, images: tuple[Built, ...], names: Any, fingerprints: Any, *rest: Any
    ) -> None:
        made.pushed |= {image.name: names[image.name] for image in images}
        made.marked |= {
            image.name: fingerprints[image.name] for image in images if image.name in fingerprints
        }

    def fingerprints(
        _: Any, root: Path, around: Surroundings, variables: Mapping[str, str]
    ) -> dict[str, str]:
        made.asked_with.append(variables)
        return {name: f"{value}{around.standins or ''}" for name, value in made.inputs.items()}

    def names(_: Any, images: tuple[Built, ...], at: str, version: str) -> dict[str, str]:
        return {image.name: f"{at}/{image.name}:{version}" for image in images}

    monkeypatch.setattr(releasing, "prepared", prepared)
    monkeypatch.setattr(bake, "bake", build)
    monkeypatch.setattr(bake, "tag", names)
    monkeypatch.setattr(releasing, "publish", publish)
    monkeypatch.setattr("slimbake.docker.held", lambda _: {})
    monkeypatch.setattr(releasing, "measure", lambda *_: Measurement(()))
    monkeypatch.setattr(releasing, "over_budget", lambda *_: made.over)
    monkeypatch.setattr("slimbake.build.registered.fingerprints", fingerprints)
    monkeypatch.setattr("slimbake.build.baked.fingerprints", fingerprints)
    return made


def held(server: Registry, machine: Machine, name: str, fingerprint: str = "") -> str:
    """Have the registry hold a service's image, as it was released before; its digest."""
    fingerprint = fingerprint or machine.fingerprints[name]
    config = {"digest": "sha256:0"}
    server.blobs["sha256:0"] = b"{}"
    manifest = {"mediaType": MANIFEST, "config": config, "layers": [], "annotations": {"is": name}}
    digest = server.put(tag(fingerprint), MANIFEST, manifest)
    repository = Repository(f"{server.name}/{name}")
    found = repository.document(digest)
    assert found is not None
    mark(repository, found, fingerprint, {})
    server.asked.clear()
    return digest


def puts(server: Registry) -> list[str]:
    return sorted(line for line in server.asked if line.startswith("PUT"))


def test_what_is_there_is_only_tagged_and_the_rest_is_built(machine: Machine) -> None:
    with registry(referrers=True) as server:
        digests = {name: held(server, machine, name) for name in ("one", "three")}
        done = machine.release(server)
        assert puts(server) == ["PUT /v2/one/manifests/v2", "PUT /v2/three/manifests/v2"]
    assert {image.target: image.digest for image in done.held} == digests
    assert (machine.built, machine.fetched) == (["two"], ("two",))
    assert machine.pushed == {"two": f"{server.name}/two:v2"}
    assert machine.marked == {"two": machine.fingerprints["two"]}
    assert machine.said == ["on the registry: one, three"]


def test_where_all_is_there_nothing_is_built(machine: Machine) -> None:
    with registry(referrers=True) as server:
        for name in SERVICES:
            held(server, machine, name)
        done = machine.release(server)
        assert len(puts(server)) == 3
    assert (machine.built, machine.pushed, machine.fetched) == ([], {}, ())
    assert [image.target for image in done.held] == list(SERVICES)


def test_where_nothing_answers_everything_is_built_and_it_says_so(machine: Machine) -> None:
    with registry() as server:
        pass
    assert machine.release(server).held == ()
    assert machine.built == list(SERVICES)
    assert machine.said == ["built to be sure: one, two, three: the registry cannot be reached"]


def test_without_missing_everything_is_built_and_gets_its_fingerprint(machine: Machine) -> None:
    with registry(referrers=True) as server:
        held(server, machine, "one")
        machine.release(server, missing=False)
        assert server.asked == []
    assert machine.built == list(SERVICES)
    assert machine.marked == machine.fingerprints


def test_other_inputs_are_another_image(machine: Machine) -> None:
    with registry(referrers=True) as server:
        held(server, machine, "one")
        machine.inputs["one"] = "sha256:edited"
        machine.release(server, "one")
    assert machine.built == ["one"]


def test_a_service_without_a_fingerprint_is_built_and_pushed_without_one(machine: Machine) -> None:
    del machine.inputs["two"]
    with registry() as server:
        machine.release(server, "two")
    assert (machine.built, machine.marked) == (["two"], {})
    assert list(machine.pushed) == ["two"]


def test_what_was_edited_during_the_build_gets_no_fingerprint(machine: Machine) -> None:
    machine.edited = {"two": "sha256:edited"}
    with registry() as server:
        machine.release(server)
    assert set(machine.pushed) == set(SERVICES)
    assert set(machine.marked) == {"one", "three"}


def test_what_an_override_changed_gets_no_fingerprint(machine: Machine) -> None:
    with registry() as server:
        machine.release(server, missing=False, sets=("one.args.A=1",))
    assert set(machine.pushed) == set(SERVICES)
    assert machine.marked == {}


def test_names_are_no_inputs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAG", "REGISTRY", "COMPRESSION"):
        monkeypatch.setenv(name, "x")
    with registry() as server:
        machine.release(server)
    assert {
        name for name in ("TAG", "REGISTRY", "COMPRESSION") if name in machine.asked_with[0]
    } == {"COMPRESSION"}


def test_over_a_budget_no_tag_moves_not_even_of_what_is_there(machine: Machine) -> None:
    machine.over = {"two": "two: too big"}
    with registry(referrers=True) as server:
        held(server, machine, "one")
        with pytest.raises(CheckError, match="budgets do not hold; no tag has moved"):
            machine.release(server)
        assert puts(server) == []
    assert machine.pushed == {}


def test_with_keep_going_what_is_there_is_tagged_whatever_fails(machine: Machine) -> None:
    machine.failures = (BuildError("four: no"),)
    with registry(referrers=True) as server:
        held(server, machine, "one")
        with pytest.raises(BuildError) as caught:
            machine.release(server, keep_going=True)
        assert puts(server) == ["PUT /v2/one/manifests/v2"]
    assert caught.value.hint == "tagged all the same: two, three, one"


def test_stand_ins_have_fingerprints_of_their_own(machine: Machine) -> None:
    with registry(referrers=True) as server:
        held(server, machine, "one")
        machine.standins = ("python",)
        machine.release(server, "one")
    assert machine.built == ["one"], "what was made with the real external is another image"


def test_stand_ins_are_refused_before_anything_is_asked(machine: Machine) -> None:
    machine.standins = ("python",)
    with pytest.raises(UsageError, match=r"are not pushed to r\.example"):
        machine.release(SimpleNamespace(name="r.example"))  # type: ignore[arg-type]
    assert machine.asked_with == []


def test_what_holds_is_told_although_something_fails(machine: Machine) -> None:
    machine.over = {"two": "two: uncompressed 9.0 MB, its budget is 8.0 MB"}
    told: list[tuple[Released, tuple[str, ...]]] = []
    with registry(referrers=True) as server:
        held(server, machine, "three")
        names = Release(registry=server.name, tag="v2", missing=True)
        options = Options(push=True, keep_going=True)
        with pytest.raises(CheckError):
            release(
                project(machine.root),
                SERVICES,
                options,
                names,
                machine.said.append,
                lambda *each: told.append(each),
            )
    [(released, failed)] = told
    assert failed == ("two",)
    assert [image.target for image in released.held] == ["three"]
