"""What a pipeline released and signs, by digest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.registries import Registry, registry

from slimbake.ci.released import signer
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
IDENTITY = (
    r"^https://github\.com/someone/fleet/\.github/workflows/bake\.yml@refs/(heads/main|tags/v.*)$"
)
ISSUER = "https://token.actions.githubusercontent.com"


@pytest.mark.parametrize(
    "source",
    [
        "https://github.com/someone/fleet",
        "https://github.com/someone/fleet.git",
        "https://someone:token@github.com/someone/fleet.git",
        "git@github.com:someone/fleet.git",
        "ssh://git@github.com:22/someone/fleet.git",
        "github.com:someone/fleet",
    ],
)
def test_a_repository_is_known_by_what_git_calls_it(source: str) -> None:
    found = signer("github", source, "main")
    assert found.issuer == ISSUER
    assert found.identity == IDENTITY


def test_an_identity_is_one_workflow_of_one_branch_or_a_tag() -> None:
    identity = signer("github", "https://github.com/someone/fleet", "main").identity
    at = "https://github.com/someone/fleet/.github/workflows/bake.yml@refs/"
    for ref in ("heads/main", "tags/v1.2"):
        assert re.fullmatch(identity, at + ref)
    for ref in ("heads/other", "heads/main2", "pull/1/merge", "tags/1.2"):
        assert not re.fullmatch(identity, at + ref)
    assert not re.fullmatch(identity, at.replace("fleet", "fleet2") + "heads/main")
    assert not re.fullmatch(identity, at.replace("bake.yml", "bakexyml") + "heads/main")


def test_gitlab_s_pipeline_and_servers_of_one_s_own() -> None:
    found = signer("gitlab", "https://gitlab.example.com:8443/group/sub/fleet.git", "trunk")
    assert found.issuer == "https://gitlab.example.com:8443"
    assert found.identity == (
        r"^https://gitlab\.example\.com:8443/group/sub/fleet//\.gitlab\-ci\.yml"
        r"@refs/(heads/trunk|tags/.*)$"
    )
    own = signer("github", "https://git.example.com/someone/fleet", "main")
    assert own.issuer == "https://git.example.com/_services/token"


@pytest.mark.parametrize("source", ["", "fleet", "/srv/git/fleet.git", "https://github.com/x"])
def test_what_is_no_repository_of_a_server_signs_nothing(source: str) -> None:
    with pytest.raises(ValueError):
        signer("github", source, "main")


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry with an image for each service; that of `jobs-gpu` for two platforms. Those of
    `api` and of one of these platforms have SBOMs.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("CI_PROJECT_URL", raising=False)
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/fleet")
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
    assert (found["sign"], found["identity"], found["issuer"]) == ("cosign", IDENTITY, ISSUER)
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


def test_the_repository_is_that_of_the_job_or_of_git(
    tmp_path: Path, held: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(UsageError, match="Git knows no origin here"):
        run(tmp_path, held)
    monkeypatch.setenv("CI_PROJECT_URL", "/srv/fleet")
    with pytest.raises(UsageError, match="'/srv/fleet' is no repository's address"):
        run(tmp_path, held)


def test_what_nobody_signs_has_no_command(tmp_path: Path, held: Registry) -> None:
    with pytest.raises(UsageError, match="so nothing is signed"):
        run(tmp_path, held, sign="none")


def test_what_was_not_released_has_no_signature(tmp_path: Path, held: Registry) -> None:
    del held.manifests["1.2"]
    with pytest.raises(SetupError, match=r"api:1\.2: the registry has none"):
        run(tmp_path, held)
