"""Where each external comes from: the engine, or its registry."""

import json
from pathlib import Path

import pytest
from tests.unit.machines import CONTAINER, ENGINE, PYTHON, SCANNER, UV
from tests.unit.processes import Processes, faked

from slimbake.docker.engine import DockerEngine
from slimbake.errors import SetupError
from slimbake.externals import resolve as externals
from slimbake.externals.resolve import Externals, available_images, resolve_externals
from slimbake.fleet.model import External

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Processes:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    externals.in_registry.cache_clear()
    processes = faked(monkeypatch)
    processes.answer("docker image inspect", stderr="No such image", code=1)
    processes.answer("docker buildx imagetools inspect", stderr="no such host", code=1)
    return processes


def resolved(*wanted: External, engine: DockerEngine = ENGINE) -> Externals:
    return resolve_externals(wanted, engine)


def registry_has(processes: Processes, image: str) -> None:
    start = f"docker buildx imagetools inspect --format={{{{json .Manifest}}}} {image}"
    processes.answer(start, json.dumps({"digest": DIGEST}))


@pytest.mark.parametrize("image", [PYTHON.image, f"python:3.11@{DIGEST}"])
def test_an_image_that_its_registry_has_is_used_by_its_digest(
    image: str, processes: Processes
) -> None:
    registry_has(processes, image)
    python = resolved(External("python", image))["python"]
    assert python.context == f"docker-image://{image.partition('@')[0]}@{DIGEST}"
    assert (python.standin, python.digest) == (False, DIGEST)


def test_an_image_of_the_engine_is_used_without_a_registry(processes: Processes) -> None:
    held = {"Id": "sha256:id", "RepoDigests": [f"python@{DIGEST}"], "Config": {"Labels": None}}
    processes.answer("docker image inspect", json.dumps(held))
    python = resolved(PYTHON)["python"]
    assert python.context == f"docker-image://{PYTHON.image}"
    assert (python.standin, python.digest) == (False, DIGEST)
    assert not [line for line in processes.started if "imagetools" in line]


def test_an_image_with_the_label_of_a_standin_is_one(processes: Processes) -> None:
    held = {"Id": "sha256:id", "RepoDigests": [], "RootFS": {"Layers": ["sha256:layer"]}}
    held["Config"] = {"Labels": {"slimbake.standin": "x"}}
    processes.answer("docker image inspect", json.dumps(held))
    assert resolved(PYTHON).standins == ("python",)
    assert resolved(PYTHON)["python"].digest == "sha256:layer", "the same on every engine"


def test_a_registry_is_asked_once_in_a_run(processes: Processes) -> None:
    for _ in range(2):
        assert available_images([UV], ENGINE) == (None,)
    assert sum("imagetools" in line for line in processes.started) == 1


def test_another_external_that_is_out_of_reach_is_named(processes: Processes) -> None:
    with pytest.raises(SetupError) as caught:
        resolved(SCANNER)
    assert str(caught.value) == "external scanner: example.com/scanner:2 cannot be reached"


def test_a_builder_that_sees_no_images_of_the_engine_needs_a_registry(processes: Processes) -> None:
    with pytest.raises(SetupError, match=r"python:3\.11-slim-trixie cannot be reached") as caught:
        resolved(PYTHON, engine=CONTAINER)
    assert "under `externals:` that the builder reaches" in caught.value.hint
    assert not [line for line in processes.started if line.startswith("docker image inspect")]


def test_an_answer_that_is_no_manifest_counts_as_none(processes: Processes) -> None:
    processes.answer("docker buildx imagetools inspect", "<html>")
    assert available_images([UV], ENGINE) == (None,)
