"""The one way to a release: what is checked, measured and within its budget is tagged and pushed
with its fingerprint; with `--missing`, what the registry has is only tagged.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, service, unlocked
from tests.unit.registries import Fault, registry
from tests.unit.release.played import MB, Played, failing, manifest, play_here

from slimbake.config.model import Budget, StartCheck, WeightsEntry
from slimbake.errors import BuildError, CheckError, SetupError, UsageError
from slimbake.release.place import BakeRequest
from slimbake.release.release import Released, release
from slimbake.release.starts import Starts

SERVICES = ("one", "two", "three")
PROJECT = unlocked(
    fleet(
        *(
            service(name, requirements=asks("six"), budget=Budget(uncompressed=8 * MB))
            for name in SERVICES
        )
    )
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    with registry(referrers=True) as server:
        yield play_here(monkeypatch, tmp_path, PROJECT, server)


def run(machine: Played, *names: str, **said: Any) -> Released:
    request = BakeRequest(
        targets=names or SERVICES, registry=machine.server.name, tag="v2", push=True, missing=True
    )
    return release(machine.project, replace(request, **said), machine.console)


def test_what_is_there_is_only_tagged_and_the_rest_is_built(machine: Played) -> None:
    digests = {name: machine.has(name) for name in ("one", "three")}
    done = run(machine)
    at = machine.server.name
    assert machine.tagged("v2") == sorted(SERVICES)
    assert {image.target: image.digest for image in done.on_registry} == digests
    assert (machine.built, machine.fetched) == (["two"], {"two"})
    assert machine.pushed == {"two": f"{at}/two:v2"}
    assert machine.tags == [f"{at}/two:v2"]
    assert machine.marked == {"two"}
    assert machine.said == ["on the registry: one, three"]
    assert done.names == {name: f"{at}/{name}:v2" for name in SERVICES}
    assert done.pushed == {
        name: f"{at}/{name}@{manifest(name).descriptor.digest}" for name in SERVICES
    }
    assert [image.name for image in done.measurement.images] == ["two"]


def test_what_is_in_doubt_is_built_and_it_says_so(machine: Played) -> None:
    for name in SERVICES:
        machine.has(name)
    machine.server.faults["GET"] = iter([Fault(403)] * 3)
    assert run(machine).on_registry == ()
    assert machine.built == list(SERVICES)
    assert machine.said == ["built to be sure: one, two, three: the registry answers 403"]


def test_without_missing_everything_is_built_and_gets_its_fingerprint(machine: Played) -> None:
    machine.has("one")
    run(machine, missing=False)
    assert [
        each for each in machine.server.asked if each.startswith("GET") and "/fp-" in each
    ] == []
    assert machine.built == list(SERVICES)
    assert machine.marked == set(SERVICES)


def test_without_push_the_engine_s_tags_move_and_nobody_is_asked(machine: Played) -> None:
    done = run(machine, push=False, missing=False)
    assert machine.tags == [f"{machine.server.name}/{name}:v2" for name in SERVICES]
    assert (machine.server.asked, machine.pushed, done.pushed) == ([], {}, {})


def test_a_service_without_a_fingerprint_is_built_and_pushed_without_one(machine: Played) -> None:
    del machine.inputs["two"]
    run(machine, "two")
    assert (machine.built, machine.marked) == (["two"], set())
    assert list(machine.pushed) == ["two"]


def test_what_was_edited_during_the_build_gets_no_fingerprint(machine: Played) -> None:
    machine.edited = {"two": "sha256:edited"}
    run(machine)
    assert set(machine.pushed) == set(SERVICES)
    puts = [line for line in machine.server.asked if line.startswith("PUT")]
    assert [line for line in puts if "/two/manifests/fp-" in line] == []
    assert machine.marked == {"one", "three"}


def test_what_an_override_changed_gets_no_fingerprint(machine: Played) -> None:
    run(machine, missing=False, sets=("one.args.A=1",))
    assert set(machine.pushed) == set(SERVICES)
    assert [line for line in machine.server.asked if "fp-" in line] == []


def test_names_are_no_inputs(machine: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAG", "REGISTRY", "COMPRESSION"):
        monkeypatch.setenv(name, "x")
    run(machine)
    found = {name for name in ("TAG", "REGISTRY", "COMPRESSION") if name in machine.asked_with[0]}
    assert found == {"COMPRESSION"}


ENDS = "two: its command ended with exit code 1"


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"sizes": {"two": 9 * MB}}, CheckError, "over budget; no tag has moved\n  two: "),
        (
            {"dead": {"two": ENDS}},
            CheckError,
            f"^the start check of two failed; its tag stays where it was\n  {ENDS}$",
        ),
        ({"unlabelled": ("two",)}, SetupError, "two was made from other locks"),
    ],
    ids=["over its budget", "does not start", "no SBOM"],
)
def test_where_one_fails_no_tag_moves_not_even_of_what_is_there(
    fault: dict[str, Any], error: type[Exception], words: str, machine: Played
) -> None:
    vars(machine).update(fault)
    machine.has("one")
    with pytest.raises(error, match=words):
        run(machine)
    assert machine.built == ["two", "three"]
    assert (machine.tags, machine.tagged("v2"), machine.pushed) == ([], [], {})


@pytest.mark.parametrize(
    ("fault", "error", "words", "measured"),
    [
        ({"broken": failing("two")}, BuildError, "two does not build", ["three"]),
        (
            {"sizes": {"two": 9 * MB}},
            CheckError,
            r"two: uncompressed 9\.0 MB, its budget is 8\.0 MB",
            ["two", "three"],
        ),
        ({"dead": {"two": ENDS}}, CheckError, ENDS, ["two", "three"]),
    ],
    ids=["does not build", "over its budget", "does not start"],
)
def test_with_keep_going_only_what_fails_is_left_out(
    fault: dict[str, Any],
    error: type[Exception],
    words: str,
    measured: list[str],
    machine: Played,
) -> None:
    vars(machine).update(fault)
    machine.has("one")
    done = run(machine, keep_going=True)
    assert machine.tagged("v2") == ["one", "three"]
    assert [*done.failures] == ["two"]
    assert [image.target for image in done.on_registry] == ["one"]
    assert [image.name for image in done.measurement.images] == measured
    assert done.checks.keys() == {"three"}
    with pytest.raises(error, match=words) as caught:
        done.expect_all()
    assert getattr(caught.value, "hint", "") == "tagged all the same: one, three\nnot tagged: two"


@pytest.mark.parametrize("first", [BuildError, CheckError])
def test_a_build_that_fails_weighs_more_than_a_check(machine: Played, first: Any) -> None:
    machine.broken = failing("one", kind=first) | failing("two", kind=CheckError)
    done = run(machine, keep_going=True)
    with pytest.raises(first) as caught:
        done.expect_all()
    assert caught.value.message == "one does not build\ntwo does not build"


def test_where_nothing_is_left_nothing_is_tagged_and_it_says_so(machine: Played) -> None:
    machine.broken = failing(*SERVICES)
    with pytest.raises(BuildError) as caught:
        run(machine, keep_going=True).expect_all()
    assert caught.value.hint == f"tagged all the same: none\nnot tagged: {', '.join(SERVICES)}"
    assert (machine.tags, machine.pushed) == ([], {})


def test_stand_ins_are_refused_before_anything_is_asked(machine: Played) -> None:
    machine.standins = ("python",)
    with pytest.raises(UsageError, match=r"are not pushed to r\.example"):
        run(machine, registry="r.example")
    assert (machine.asked_with, machine.built) == ([], [])
    run(machine, registry="r.example", push=False, missing=False)
    assert machine.built == list(SERVICES), "what stays here may be made with them"


MODEL = WeightsEntry("path", "model", mount="image")
MOUNTING = unlocked(
    fleet(service("one", weights=MODEL), service("two", weights=MODEL), service("three"))
)


@pytest.fixture
def mounting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    with registry(referrers=True) as server:
        yield play_here(monkeypatch, tmp_path, MOUNTING, server)


def test_mounted_weights_are_released_with_the_services_that_mount_them(mounting: Played) -> None:
    run(mounting, "three")
    assert mounting.built == ["three"]
    done = run(mounting, "one")
    assert mounting.built == ["three", "one", "weights-model"]
    assert mounting.pushed["weights-model"] == f"{mounting.server.name}/weights-model:v2"
    assert "weights-model" in mounting.marked
    weights = manifest("weights-model").descriptor.digest
    assert mounting.mounts == {"one": weights, "two": weights}
    assert [image.name for image in done.measurement.images] == ["one", "weights-model"]
    assert done.checks.keys() == {"one"}


def test_weights_that_the_registry_has_are_only_tagged_and_mounted(mounting: Played) -> None:
    weights = mounting.has("weights-model")
    run(mounting)
    assert mounting.built == list(SERVICES)
    assert "weights-model" in mounting.tagged("v2")
    assert mounting.mounts["one"] == f"{mounting.server.name}/weights-model@{weights}"


def test_weights_that_another_job_has_pushed_get_the_tag(mounting: Played) -> None:
    mounting.has("weights-model")
    digest = manifest("weights-model").descriptor.digest
    pushed = {"weights-model": f"{mounting.server.name}/weights-model@{digest}"}
    run(mounting, pushed=pushed, missing=False)
    assert mounting.built == list(SERVICES)
    assert "weights-model" in mounting.tagged("v2")
    with pytest.raises(SetupError, match="the registry has none"):
        run(mounting, pushed={"weights-model": f"{mounting.server.name}/weights-model@sha256:0"})
    local = run(mounting, pushed=pushed, push=False, missing=False)
    assert ({*local.names}, local.failures) == ({*SERVICES}, {})


def test_services_that_mount_the_weights_of_one_that_fails_wait_with_it(mounting: Played) -> None:
    mounting.dead = {"two": "two: it ends"}
    done = run(mounting, keep_going=True)
    assert done.names.keys() == {"three"}
    assert [*done.failures] == ["one", "two", "weights-model"]
    assert {str(error).splitlines()[0] for error in done.failures.values()} == {
        "the start check of two failed; its tag stays where it was"
    }
    assert mounting.tagged("v2") == ["three"]


def test_a_neighbour_of_a_registry_starts(machine: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = StartCheck("runs", fleet=("two",))
    machine.project = unlocked(fleet(service("one", start=beside), service("two")))
    digest = machine.has("two")
    seen: dict[str, str] = {}

    def start_checks(*asked: Any) -> Starts:
        seen.update(asked[-1])
        return Starts({}, {"one": "start"})

    monkeypatch.setattr("slimbake.release.release.start_checks", start_checks)
    run(machine, "one", missing=False)
    assert seen["two"] == f"{machine.server.name}/two@{digest}"
    assert machine.tagged("v2") == ["one"]
