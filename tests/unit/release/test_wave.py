"""Wave 1: what is missing is built and pushed once, what the registry has is stood on, and services
learn of both.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.fleets import asks, service, unlocked, written
from tests.unit.registries import registry
from tests.unit.release.played import Played, failing, play_here

from slimbake.config.model import BaseEntry, Parity, WeightsEntry
from slimbake.errors import BuildError, UsageError
from slimbake.fleet import resolve
from slimbake.release.place import BakeRequest
from slimbake.release.wave import release_shared

SHARED = ("runtime", "base-web", "base-ml")
MODEL, PARITY = WeightsEntry("package", "a-model"), Parity("parity.py", "texts/a.jsonl")
WRITTEN = written(
    service("api", base="web"),
    service("model", base="ml"),
    service("rank", base="ml", weights=MODEL, inference="onnx", parity=PARITY),
    bases=(
        BaseEntry("web", requirements=asks("fastapi")),
        BaseEntry("ml", extends="web", requirements=asks("torch")),
    ),
)
PROJECT = unlocked(resolve(WRITTEN))
PLAN = PROJECT.plan


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    with registry(referrers=True) as server:
        yield play_here(monkeypatch, tmp_path, PROJECT, server)


def run(
    machine: Played, *services: str, missing: bool = True, platform: str = "", at: str = ""
) -> dict[str, str]:
    """What `slimbake ci shared` asks for of these services."""
    request = BakeRequest(
        targets=tuple(target.name for target in PLAN.shared_by(services)),
        registry=at or machine.server.name,
        tag="v2",
        push=True,
        missing=missing,
        keep_going=True,
        platform=platform,
    )
    released = release_shared(PROJECT, request, machine.console)
    return {name: released.pushed[name] for name in request.targets if name in released.pushed}


def test_shared_images_are_built_once_and_listed_by_digest(machine: Played, tmp_path: Path) -> None:
    found = run(machine, "api", "model")
    assert machine.built == list(SHARED)
    assert list(found) == list(SHARED)
    assert all(found[name].startswith(f"{machine.server.name}/{name}@sha256:") for name in SHARED)


def test_a_failed_export_is_reported_and_others_are_pushed(machine: Played) -> None:
    machine.broken = failing("weights-a-model-onnx-fp32")
    found = run(machine, "rank")
    assert (
        list(found)
        == machine.built
        == ["runtime", "base-web", "base-ml-onnx", "reference-a-model-a"]
    )
    assert machine.said[-1] == "weights-a-model-onnx-fp32 does not build"


def test_a_base_that_fails_is_an_error_and_pushed_ones_stay(machine: Played) -> None:
    machine.broken = failing("base-ml-onnx")
    with pytest.raises(BuildError, match="base-ml-onnx does not build"):
        run(machine, "rank")
    exports = ["weights-a-model-onnx-fp32", "reference-a-model-a"]
    assert machine.built == list(machine.pushed) == ["runtime", "base-web", *exports]
    machine.built.clear()
    machine.broken = {}
    assert "base-ml-onnx" in run(machine, "rank")
    assert machine.built == ["base-ml-onnx"]


def test_a_second_run_builds_none_and_gives_the_same_digests(machine: Played) -> None:
    first = run(machine, "api", "model")
    machine.built.clear()
    assert run(machine, "api", "model") == first
    assert machine.built == []
    assert machine.said[-1] == "on the registry: runtime, base-web, base-ml"


def test_what_is_missing_is_built_on_what_is_there(machine: Played) -> None:
    there = {
        name: f"{machine.server.name}/{name}@{machine.has(name)}"
        for name in ("runtime", "base-web")
    }
    found = run(machine, "model")
    assert machine.built == ["base-ml"]
    assert machine.stood_on == there
    assert {name: found[name] for name in there} == there
    assert set(there) <= set(machine.tagged("v2")), "what was there has the tag of this version"


def test_without_missing_all_that_the_named_services_need_is_built(machine: Played) -> None:
    machine.has("runtime")
    assert list(run(machine, "api", missing=False)) == ["runtime", "base-web"]
    assert machine.built == ["runtime", "base-web"]


def test_what_was_built_for_all_platforms_is_not_taken_for_one_of_them(machine: Played) -> None:
    machine.has("runtime")
    machine.has("base-web", platform="linux/arm64")
    run(machine, "api", platform="linux/arm64")
    assert machine.built == ["runtime"]


def test_what_stands_in_for_an_external_is_pushed_to_loopback_alone(machine: Played) -> None:
    machine.standins = ("python",)
    assert list(run(machine, "api")) == ["runtime", "base-web"]
    machine.built.clear()
    with pytest.raises(UsageError, match="images made with stand-ins"):
        run(machine, "api", at="registry.example.com/toy")
    assert machine.built == []
