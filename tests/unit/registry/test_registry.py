"""What is attached to a manifest of a registry, with and without its list of referrers, and who may
attach.
"""

import base64
import json
from pathlib import Path
from typing import Literal

import pytest
from tests.unit.registries import ACCOUNT, EITHER_WAY, Fault, Registry, registry, waits

from slimbake.errors import BuildError
from slimbake.registry import ImageRepository
from slimbake.registry.address import is_loopback
from slimbake.registry.documents import MANIFEST, Descriptor, descriptor_of

pytestmark = pytest.mark.usefixtures("no_account")

KIND = "application/vnd.cyclonedx+json"
SAID = {"org.opencontainers.image.revision": "abc"}
IMAGE = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {"digest": "sha256:0"}}


def attach(
    server: Registry, content: bytes = b"{}", said: dict[str, str] = SAID
) -> tuple[Descriptor, str]:
    """Attach something to an image that the registry has: the image and what was made."""
    server.put("latest", MANIFEST, IMAGE)
    repository = ImageRepository(f"{server.name}/a/b")
    found = repository.document("latest")
    assert found is not None
    image = found.descriptor
    return image, repository.attach(image, KIND, "b.cdx.json", content, said)


@EITHER_WAY
def test_it_is_an_artifact_whose_subject_is_the_image(server: Registry) -> None:
    image, made = attach(server, b'{"a": 1}')
    manifest = json.loads(server.manifests[made][1])
    assert (manifest["artifactType"], manifest["annotations"]) == (KIND, SAID)
    assert manifest["subject"] == {
        "mediaType": MANIFEST,
        "digest": image.digest,
        "size": len(json.dumps(IMAGE)),
    }
    (layer,) = manifest["layers"]
    assert server.blobs[layer["digest"]] == b'{"a": 1}'
    assert layer["annotations"] == {"org.opencontainers.image.title": "b.cdx.json"}
    assert server.blobs[manifest["config"]["digest"]] == b"{}"


def test_an_upload_in_bad_moments_is_sent_again_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    waits(monkeypatch)
    with registry(referrers=True) as server:
        server.faults = {"POST": iter((Fault(503),)), "PUT": iter((Fault(how="cut"), Fault(429)))}
        _, made = attach(server, b"content")
        (layer,) = json.loads(server.manifests[made][1])["layers"]
        assert server.blobs[layer["digest"]] == b"content"


def test_where_the_registry_keeps_no_list_a_tag_does() -> None:
    with registry(referrers=True) as server:
        image, _ = attach(server)
        assert image.digest.replace(":", "-") not in server.manifests
    with registry(referrers=False) as server:
        image, made = attach(server)
        kind, content = server.manifests[image.digest.replace(":", "-")]
        entry = {"mediaType": MANIFEST, "digest": made, "size": len(server.manifests[made][1])}
    assert kind == "application/vnd.oci.image.index.v1+json"
    assert json.loads(content) == {
        "schemaVersion": 2,
        "mediaType": kind,
        "manifests": [{**entry, "artifactType": KIND, "annotations": SAID}],
    }


@EITHER_WAY
def test_the_same_again_is_attached_once(server: Registry) -> None:
    image, first = attach(server)
    _, again = attach(server, said={"org.opencontainers.image.revision": "another"})
    listed = ImageRepository(f"{server.name}/a/b").referrers(image.digest)
    assert again == first
    assert [each["digest"] for each in listed] == [first]


@EITHER_WAY
def test_another_content_stands_beside_it(server: Registry) -> None:
    image, first = attach(server, b"1")
    _, second = attach(server, b"2")
    listed = ImageRepository(f"{server.name}/a/b").referrers(image.digest)
    assert [each["digest"] for each in listed] == [first, second]


def log_in(server: Registry, folder: Path, account: str = ACCOUNT) -> None:
    entry = {"auth": base64.b64encode(account.encode()).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {server.name: entry}}))


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_accounts_are_docker_s(auth: Literal["basic", "token"], tmp_path: Path) -> None:
    with registry(auth=auth) as server:
        log_in(server, tmp_path)
        _, made = attach(server)
        assert made in server.manifests


@pytest.mark.parametrize("auth", ["basic", "token"])
@pytest.mark.parametrize("account", ["", "someone:wrong"])
def test_without_an_account(auth: Literal["basic", "token"], account: str, tmp_path: Path) -> None:
    with registry(auth=auth) as server:
        if account:
            log_in(server, tmp_path, account)
        with pytest.raises(BuildError) as caught:
            attach(server)
        asked = len(server.asked)
    assert caught.value.message.startswith(f"{server.name}/a/b: the registry ")
    assert caught.value.hint.startswith("`docker login`")
    assert asked < 8


BLOB = descriptor_of("application/octet-stream", b"a layer")


def take(server: Registry, source: Registry) -> list[str]:
    """What is asked of a registry to have a blob that another repository holds."""
    source.blobs[BLOB.digest] = b"a layer"
    server.asked.clear()
    other = ImageRepository(f"{source.name}/a/b")
    ImageRepository(f"{server.name}/layers").take(BLOB, other)
    return [asked for asked in server.asked if "/blobs/" in asked]


def test_a_blob_of_the_same_registry_gets_a_second_place_and_is_not_moved() -> None:
    with registry() as server:
        moved = take(server, server)
        assert moved == [f"HEAD /v2/layers/blobs/{BLOB.digest}", "POST /v2/layers/blobs/uploads/"]
        assert ("layers", BLOB.digest) in server.held
        assert take(server, server) == [f"HEAD /v2/layers/blobs/{BLOB.digest}"]


def test_a_blob_is_copied_where_the_registry_gives_no_second_place() -> None:
    with registry() as server:
        server.mounts = False
        take(server, server)
        assert ("layers", BLOB.digest) in server.held


def test_a_blob_is_copied_from_another_registry() -> None:
    with registry() as server, registry() as source:
        take(server, source)
        assert server.blobs == {BLOB.digest: b"a layer"}


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"another", "gives other bytes"), (b"a layer and more", "sends more than 7 bytes")],
)
def test_a_blob_that_is_another_one_is_not_copied(content: bytes, why: str) -> None:
    with registry() as server, registry() as source:
        source.blobs[BLOB.digest] = content
        other = ImageRepository(f"{source.name}/a/b")
        with pytest.raises(BuildError, match=why):
            ImageRepository(f"{server.name}/layers").take(BLOB, other)
        assert not server.blobs


def test_a_registry_that_is_not_there_is_named() -> None:
    with pytest.raises(BuildError, match=r"127\.0\.0\.1:1: the registry does not answer"):
        ImageRepository("127.0.0.1:1/a/b")


@pytest.mark.parametrize(
    ("name", "here"),
    [
        *(("atlas/api", False), ("api", False), ("example.com/api", False)),
        *(("localhost/api", True), ("localhost:5000/a/b", True), ("[::1]:5000/api", True)),
        *(("127.8.0.1:5000/x", True), ("10.0.0.1:5000/x", False)),
    ],
)
def test_a_registry_of_this_machine_is_known_by_its_name(name: str, here: bool) -> None:
    assert is_loopback(name) is here
