"""What a pipeline released and signs, by digest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.registries import Registry, registry

from slimbake.cli import slimbake
from slimbake.errors import SetupError, UsageError
from slimbake.registry import ImageRepository
from slimbake.registry.documents import INDEX, MANIFEST, Descriptor
from slimbake.release.sbom import MEDIA_TYPE

FLEET = """\
project: atlas
registry: registry.example.com/atlas
python: "3.11"
ci: {sign: %s}
services:
  api: {context: api}
  jobs: {context: api, variants: {cpu: {}, gpu: {}}}
"""


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry with an image for each service; that of `jobs-gpu` for two platforms. Those of
    `api` and of one of these platforms have SBOMs.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "api").mkdir()
    with registry(referrers=True) as server:
        server.blobs["sha256:0"] = b"{}"

        def put(tag: str, what: str) -> Descriptor:
            content = {"config": {"digest": "sha256:0"}, "layers": [], "annotations": {"is": what}}
            digest = server.put(tag, MANIFEST, content)
            return Descriptor(MANIFEST, digest, len(server.manifests[digest][1]))

        api = put("1.2", "api")
        amd, arm = put("amd", "amd"), put("arm", "arm")
        entries = [
            {**each.as_json(), "platform": {"os": "linux", "architecture": name}}
            for each, name in ((amd, "amd64"), (arm, "arm64"))
        ]
        server.put("1.2-gpu", INDEX, {"schemaVersion": 2, "manifests": entries})
        for subject, repository, text in ((api, "api", "of api"), (arm, "jobs", "of arm")):
            at = ImageRepository(f"{server.name}/atlas/{repository}")
            at.attach(subject, MEDIA_TYPE, "sbom", text.encode(), {})
        yield server


def run(tmp_path: Path, held: Registry, *more: str, sign: str = "cosign") -> Result:
    file = tmp_path / "services.yaml"
    file.write_text(FLEET % sign)
    done = CliRunner().invoke(
        slimbake,
        ["ci", "released", f"--manifest={file}", *more],
        env={"REGISTRY": f"{held.name}/atlas", "TAG": "1.2"},
    )
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def digest(held: Registry, tag: str) -> str:
    return held.put(tag, *_read(held, tag))


def _read(held: Registry, tag: str) -> tuple[str, dict[str, object]]:
    kind, content = held.manifests[tag]
    return kind, json.loads(content)


def test_an_index_and_each_of_its_images_are_signed(tmp_path: Path, held: Registry) -> None:
    done = run(tmp_path, held, f"--sboms={tmp_path / 'sboms'}")
    found = json.loads(done.stdout)
    assert [
        (e["platform"], e["digest"], e["sbom"])
        for e in found["images"]
        if e["service"] == "jobs-gpu"
    ] == [
        ("", digest(held, "1.2-gpu"), ""),
        ("linux/amd64", digest(held, "amd"), ""),
        ("linux/arm64", digest(held, "arm"), "jobs-gpu.linux_arm64.cdx.json"),
    ]
    sboms = {path.name: path.read_text() for path in (tmp_path / "sboms").iterdir()}
    assert sboms["jobs-gpu.linux_arm64.cdx.json"] == "of arm"


def test_all_variants_are_listed_as_the_pipeline_releases_them(
    tmp_path: Path, held: Registry
) -> None:
    found = json.loads(run(tmp_path, held).stdout)
    assert {e["service"] for e in found["images"]} == {"api", "jobs", "jobs-gpu"}


def test_what_nobody_signs_has_no_command(tmp_path: Path, held: Registry) -> None:
    with pytest.raises(UsageError, match="so nothing is signed"):
        run(tmp_path, held, sign="none")


def test_what_was_not_released_has_no_signature(tmp_path: Path, held: Registry) -> None:
    del held.manifests["1.2"]
    with pytest.raises(SetupError, match=r"api:1\.2: the registry has none"):
        run(tmp_path, held)
