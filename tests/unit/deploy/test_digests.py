"""What was released, for what deploys it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.unit.registries import Registry, registry

from slimbake.cli import slimbake
from slimbake.deploy.digests import FORMATS
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


def exported(file: Path, held: Registry, what: str = "digests", *more: str) -> str:
    at = (f"--registry={held.name}/atlas", "--tag=1.2", f"--manifest={file}")
    done = CliRunner().invoke(slimbake, ["export", what, *at, *more])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_images_are_named_by_their_digests_in_the_words_of_each_reader(file: Path) -> None:
    with registry() as held:
        api = held.put("1.2", MANIFEST, {"schemaVersion": 2})
        gpu = held.put("1.2-gpu", MANIFEST, {"schemaVersion": 2, "annotations": {"a": "b"}})
        at = f"{held.name}/atlas"
        found = json.loads(exported(file, held))
        assert found["api"] == {
            "image": f"{at}/api@{api}",
            "repository": f"{at}/api",
            "tag": "1.2",
            "digest": api,
        }
        assert set(found) == {"api", "big-model"}, "the first variant of each"
        env = exported(file, held, "env", "api", "big-model-gpu")
        assert env.splitlines() == [
            f"API_IMAGE={at}/api@{api}",
            f"BIG_MODEL_GPU_IMAGE={at}/big-model@{gpu}",
        ]
        assert yaml.safe_load(exported(file, held, "kustomize", "api")) == {
            "images": [{"name": f"{at}/api", "digest": api}]
        }
        assert yaml.safe_load(exported(file, held, "helm", "big-model-gpu")) == {
            "big-model-gpu": {
                "image": {"repository": f"{at}/big-model", "tag": "1.2-gpu", "digest": gpu}
            }
        }
        with pytest.raises(UsageError, match="one image of a repository"):
            held.put("latest", MANIFEST, {})
            held.put("latest-gpu", MANIFEST, {})
            exported(file, held, "kustomize", "big-model", "big-model-gpu", "--tag=latest")
    assert set(FORMATS) == {"digests", "env", "kustomize", "helm", "kubernetes"}


def test_mounted_weights_are_named_beside_the_service(file: Path) -> None:
    (file.parent / "model").mkdir()
    file.write_text(
        f"{FLEET}  says: {{context: api, weights: {{path: model, mount: image}}, command: [python, a]}}\n"
    )
    with registry() as held:
        image = held.put("1.2", MANIFEST, {"schemaVersion": 2})
        at = f"{held.name}/atlas"
        weights = f"{at}/weights-model@{image}"
        assert json.loads(exported(file, held, "digests", "says"))["says"]["weights"] == weights
        assert exported(file, held, "env", "says").splitlines()[1] == (f"SAYS_WEIGHTS={weights}")
        values = yaml.safe_load(exported(file, held, "helm", "says"))["says"]
        assert values["weights"] == values["image"] | {"repository": f"{at}/weights-model"}
        assert yaml.safe_load(exported(file, held, "kubernetes", "says", "api")) == {
            "says": {
                "containers": [
                    {
                        "name": "says",
                        "image": f"{at}/says@{image}",
                        "volumeMounts": [
                            {"name": "weights", "mountPath": "/weights", "readOnly": True}
                        ],
                    }
                ],
                "volumes": [
                    {
                        "name": "weights",
                        "image": {"reference": weights, "pullPolicy": "IfNotPresent"},
                    }
                ],
            },
            "api": {"containers": [{"name": "api", "image": f"{at}/api@{image}"}]},
        }


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
