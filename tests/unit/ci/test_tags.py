"""`slimbake ci tag`: what has the tag of a run, by digest."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.registries import Registry, registry

from slimbake.cli import slimbake
from slimbake.errors import SetupError
from slimbake.images.sizes import Measurement
from slimbake.registry import ImageRepository
from slimbake.registry.documents import INDEX, MANIFEST, Descriptor
from slimbake.release import wave as tags
from slimbake.release.place import BakeRequest
from slimbake.release.release import Released
from slimbake.release.sbom import MEDIA_TYPE

FLEET = """\
project: atlas
registry: registry.example.com/atlas
python: "3.11"
ci: {%s}
services:
  api: {context: api}
  jobs: {context: api, variants: {cpu: {}, gpu: {}}}
"""


@pytest.fixture
def held(no_account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry with an image for each service; that of `jobs-gpu` for two platforms. Those of
    `api` and of one of these platforms have SBOMs.
    """
    monkeypatch.setattr(tags, "unchanged_images", lambda *_: ())
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


def run(tmp_path: Path, held: Registry, *more: str, ci: str = "", tag: str = "1.2") -> Result:
    file = tmp_path / "services.yaml"
    file.write_text(FLEET % ci)
    done = CliRunner().invoke(
        slimbake,
        ["ci", "tag", f"--manifest={file}", *more],
        env={"REGISTRY": f"{held.name}/atlas", "TAG": tag},
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


def test_what_has_no_tag_is_said_and_the_rest_is_listed(tmp_path: Path, held: Registry) -> None:
    del held.manifests["1.2"]
    done = run(tmp_path, held)
    assert {e["service"] for e in json.loads(done.stdout)["images"]} == {"jobs-gpu"}
    assert "without the tag 1.2, see the logs of their jobs: api, jobs" in done.stderr


def test_without_an_account_it_ends_with_how_to_log_in(tmp_path: Path, held: Registry) -> None:
    held.auth = "basic"
    with pytest.raises(SetupError, match=r"api:1\.2: .* 401") as caught:
        run(tmp_path, held)
    assert "docker login" in caught.value.hint


@pytest.mark.parametrize("tag", ["1-2", "1+2", "1/2", "-1+2", "1:2"])
def test_all_variants_are_listed_and_what_a_tag_may_not_have_is_replaced(
    tmp_path: Path, held: Registry, tag: str
) -> None:
    for suffix in ("", "-gpu"):
        held.manifests[f"1-2{suffix}"] = held.manifests[f"1.2{suffix}"]
    found = json.loads(run(tmp_path, held, tag=tag).stdout)
    assert {e["service"] for e in found["images"]} == {"api", "jobs", "jobs-gpu"}


def test_unchanged_images_are_released_again_under_the_tag(
    tmp_path: Path, held: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[BakeRequest] = []

    def release(_: object, request: BakeRequest, __: object) -> Released:
        asked.append(request)
        return Released(Measurement(()))

    monkeypatch.setattr(tags, "unchanged_images", lambda *_: ("api",))
    monkeypatch.setattr(tags, "release", release)
    run(tmp_path, held)
    (request,) = asked
    assert (request.targets, request.tag) == (("api",), "1.2")
    assert (request.push, request.missing, request.keep_going, request.frozen) == (True,) * 4


def test_one_tag_of_lanes(tmp_path: Path, held: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    merged: dict[str, list[str]] = {}

    def merge(name: str, images: list[str]) -> None:
        if name.endswith("-gpu"):
            raise SetupError("docker buildx failed", "jobs:1.2-linux_arm64-gpu: not found")
        merged[name.removeprefix(f"{held.name}/atlas/")] = [
            image.removeprefix(f"{held.name}/atlas/") for image in images
        ]

    monkeypatch.setattr("slimbake.docker.merge_images", merge)
    (tmp_path / "api").mkdir(exist_ok=True)
    lanes = "runners: {linux/amd64: a, linux/arm64: b}}\nplatforms: [linux/amd64, linux/arm64]\n#"
    done = run(tmp_path, held, ci=lanes)
    assert merged == {
        f"{name}:1.2": [f"{name}:1.2-linux_amd64", f"{name}:1.2-linux_arm64"]
        for name in ("api", "jobs")
    }
    assert "jobs-gpu: jobs:1.2-linux_arm64-gpu: not found" in done.stderr
