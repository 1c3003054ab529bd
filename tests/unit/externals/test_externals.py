"""Where each external comes from: the engine, its registry, or a stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import CONTAINER, DEBIAN, ENGINE, PYTHON, SCANNER, UV
from tests.unit.processes import Processes, faked

from slimbake import docker
from slimbake.console import QUIET, Console
from slimbake.docker.engine import DockerEngine
from slimbake.errors import SetupError
from slimbake.externals import resolve as externals
from slimbake.externals.resolve import (
    Externals,
    available_images,
    multi_platform_standin,
    resolve_externals,
)
from slimbake.fleet.model import External
from slimbake.host.machine import Machine

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Processes:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def standin(version: str, here: Machine, console: Console, install: bool, platform: str) -> str:
        return f"slimbake-standin/python:{version}-trixie" + platform.replace("linux/", "-")

    monkeypatch.setattr(externals, "python_standin", standin)
    monkeypatch.setattr(externals, "root_digest", lambda reference: f"root of {reference}")
    externals.in_registry.cache_clear()
    processes = faked(monkeypatch)
    processes.answer("docker image inspect", stderr="No such image", code=1)
    processes.answer("docker buildx imagetools inspect", stderr="no such host", code=1)
    return processes


def resolved(*wanted: External, engine: DockerEngine = ENGINE) -> Externals:
    return resolve_externals(wanted, "3.11", engine, DEBIAN, QUIET)


def registry_has(processes: Processes, image: str) -> None:
    start = f"docker buildx imagetools inspect --format={{{{json .Manifest}}}} {image}"
    processes.answer(start, json.dumps({"digest": DIGEST}))


def test_an_image_that_its_registry_has_is_used_by_its_digest(processes: Processes) -> None:
    registry_has(processes, PYTHON.image)
    python = resolved(PYTHON)["python"]
    assert python.context == f"docker-image://{PYTHON.image}@{DIGEST}"
    assert (python.standin, python.digest) == (False, DIGEST)


def test_an_image_that_the_manifest_pins_keeps_its_pin(processes: Processes) -> None:
    pinned = External("python", f"python:3.11@{DIGEST}")
    registry_has(processes, pinned.image)
    assert resolved(pinned)["python"].context == f"docker-image://python:3.11@{DIGEST}"


def test_an_image_that_the_engine_holds_is_used_without_asking_a_registry(
    processes: Processes,
) -> None:
    held = {"Id": "sha256:id", "RepoDigests": [f"python@{DIGEST}"], "Config": {"Labels": None}}
    processes.answer("docker image inspect", json.dumps(held))
    python = resolved(PYTHON)["python"]
    assert (python.context, python.standin, python.digest) == (
        f"docker-image://{PYTHON.image}",
        False,
        DIGEST,
    )
    assert not [line for line in processes.started if "imagetools" in line]


def test_a_standin_that_took_the_images_name_is_still_a_standin(processes: Processes) -> None:
    held = {
        "Id": "sha256:id",
        "RepoDigests": [],
        "Config": {"Labels": {"slimbake.standin": "x"}},
    }
    processes.answer("docker image inspect", json.dumps(held))
    assert resolved(PYTHON).standins == ("python",)
    assert resolved(PYTHON)["python"].digest == "sha256:id"


def test_where_no_registry_answers_python_and_uv_are_stood_in_for(processes: Processes) -> None:
    found = resolved(PYTHON, UV)
    assert found.standins == ("python", "uv")
    assert found["python"].context == "docker-image://slimbake-standin/python:3.11-trixie"
    assert found["python"].digest == "root of slimbake-standin/python:3.11-trixie"
    folder = Path(found["uv"].context)
    assert [path.name for path in folder.iterdir()] == ["uv"]
    assert folder.joinpath("uv").stat().st_mode & 0o777 == 0o755
    assert folder.name == found["uv"].digest


def test_a_registry_is_asked_once_in_a_run(processes: Processes) -> None:
    for _ in range(2):
        assert available_images([UV], ENGINE) == (None,)
    assert sum("imagetools" in line for line in processes.started) == 1


def test_another_external_that_cannot_be_reached_is_an_error_that_names_it(
    processes: Processes,
) -> None:
    with pytest.raises(SetupError) as caught:
        resolved(SCANNER)
    assert (
        str(caught.value)
        == "external scanner: example.com/scanner:2 cannot be reached, and slimbake has no stand-in"
        " for it"
    )


def test_a_builder_that_sees_no_images_of_the_engine_gets_no_standin_of_python(
    processes: Processes,
) -> None:
    with pytest.raises(SetupError, match="a docker-container builder sees no stand-in"):
        resolved(PYTHON, engine=CONTAINER)
    assert not [line for line in processes.started if line.startswith("docker image inspect")]


def test_an_answer_that_is_no_manifest_counts_as_none(processes: Processes) -> None:
    processes.answer("docker buildx imagetools inspect", "<html>")
    assert available_images([UV], ENGINE) == (None,)


def test_several_platforms_get_a_standin_each_as_one_image(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(externals, "uv_standin", lambda platform, _: Path(f"/uv{platform}"))
    made: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(
        externals,
        "multi_platform_standin",
        lambda name, contexts: made.setdefault(name, contexts) and f"all-{name}",
    )
    both = ["linux/arm64", "linux/amd64"]
    found = resolve_externals((PYTHON, UV), "3.11", ENGINE, DEBIAN, QUIET, platforms=both)
    assert found["python"].context == "docker-image://all-python:3.11"
    assert list(made.values()) == [
        {
            "linux/amd64": "docker-image://slimbake-standin/python:3.11-trixie",
            "linux/arm64": "docker-image://slimbake-standin/python:3.11-trixie-arm64",
        },
        {"linux/amd64": "/uv", "linux/arm64": "/uvlinux/arm64"},
    ]
    alone = resolve_externals(
        (PYTHON, UV), "3.11", ENGINE, DEBIAN, QUIET, platforms=["linux/arm64"]
    )
    assert alone["python"].context == "docker-image://slimbake-standin/python:3.11-trixie-arm64"
    assert alone["uv"].context == "/uvlinux/arm64"
    assert alone["python"].digest != found["python"].digest


def test_several_standins_are_one_image_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    monkeypatch.setattr(docker, "build_image", lambda *words, **more: built.append((words, more)))
    both = {"linux/arm64": "/uv-arm64", "linux/amd64": "/uv"}
    assert multi_platform_standin("uv:1.0", both) == "slimbake-standin/uv:1.0-amd64-arm64"
    (((dockerfile, _, contexts), more),) = built
    assert dockerfile == "FROM standin-${TARGETARCH}\n"
    assert contexts == {"standin-amd64": "/uv", "standin-arm64": "/uv-arm64"}
    assert set(more["platforms"]) == set(both)


def test_an_engine_that_holds_no_index_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def build_image(*_: object, **__: object) -> None:
        raise SetupError("docker buildx failed", "docker driver: no multi-platform")

    monkeypatch.setattr(docker, "build_image", build_image)
    with pytest.raises(SetupError, match="no multi-platform") as caught:
        multi_platform_standin("uv:1.0", {"linux/arm64": "/a", "linux/amd64": "/b"})
    assert "PLATFORMS=linux/amd64 slimbake bake" in caught.value.hint
