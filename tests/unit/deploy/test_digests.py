"""What was released, for what deploys it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.registries import Registry, registry

from slimbake.cli import slimbake
from slimbake.errors import SetupError, UsageError
from slimbake.registry.documents import MANIFEST

FLEET = """\
project: atlas
python: "3.11"
services:
  api: {context: api}
  big-model: {context: api, variants: {cpu: {}, gpu: {}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(FLEET)
    return tmp_path / "services.yaml"


def exported(file: Path, held: Registry, *more: str) -> Any:
    at = (f"--registry={held.name}/atlas", "--tag=1.2", f"--manifest={file}")
    done = CliRunner().invoke(slimbake, ["export", "digests", *at, *more])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def test_images_are_named_by_their_digests(file: Path) -> None:
    with registry() as held:
        api = held.put("1.2", MANIFEST, {"schemaVersion": 2})
        gpu = held.put("1.2-gpu", MANIFEST, {"schemaVersion": 2, "annotations": {"a": "b"}})
        at = f"{held.name}/atlas"
        found = exported(file, held)
        assert found["api"] == {"image": f"{at}/api@{api}"}
        assert set(found) == {"api", "big-model"}, "the first variant of each"
        named = exported(file, held, "big-model-gpu")
        assert named["big-model-gpu"]["image"] == f"{at}/big-model@{gpu}"


def test_mounted_weights_are_named_beside_the_service(file: Path) -> None:
    (file.parent / "model").mkdir()
    file.write_text(
        f"{FLEET}  says: {{context: api, weights: {{path: model, mount: image}}, command: [python, a]}}\n"
    )
    with registry() as held:
        image = held.put("1.2", MANIFEST, {"schemaVersion": 2})
        weights = f"{held.name}/atlas/weights-model@{image}"
        assert exported(file, held, "says")["says"]["weights"] == weights


def test_what_was_not_released_is_named(file: Path) -> None:
    with registry() as held:
        held.put("1.2-gpu", MANIFEST, {"schemaVersion": 2})
        with pytest.raises(SetupError) as caught:
            exported(file, held)
    assert caught.value.message.splitlines() == [
        f"{held.name}/atlas/api:1.2: the registry has none",
        f"{held.name}/atlas/big-model:1.2: the registry has none",
    ]


def test_without_a_registry_nothing_is_released(file: Path) -> None:
    done = CliRunner().invoke(slimbake, ["export", "digests", f"--manifest={file}"])
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == "services.yaml names no registry, so nothing is released"
