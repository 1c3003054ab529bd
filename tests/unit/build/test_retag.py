"""An image that the registry has gets another tag, if it says itself that it was released for this."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from slimbake.build.retag import Held, held, retag
from tests.unit.build.test_missing import FINGERPRINT, IMAGE, TAG
from tests.unit.fleets import fleet, service
from tests.unit.registries import Fault, Registry, registry, waits
from tests.unit.registry.test_registry import log_in

from slimbake.build.released import tag
from slimbake.build.statement import KIND, mark
from slimbake.errors import BuildError
from slimbake.plan import plan
from slimbake.registry import ImageRepository
from slimbake.registry.documents import INDEX, MANIFEST

PLAN = plan(fleet(service("b")))
ATTESTATION = {
    "digest": "sha256:2",
    "platform": {"os": "unknown"},
    "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
}
ATTESTED = {
    "mediaType": INDEX,
    "manifests": [{"digest": "sha256:1", "platform": {"os": "linux"}}, ATTESTATION],
}


@pytest.fixture(autouse=True)
def at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No account of whoever runs this, and no waiting between tries."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    waits(monkeypatch)


def release(
    server: Registry, manifest: dict[str, Any] = IMAGE, fingerprint: str = FINGERPRINT
) -> str:
    """Have a registry hold an image that was released for a fingerprint; its digest."""
    digest = server.put(TAG, manifest["mediaType"], manifest)
    server.blobs["sha256:0"] = b"{}"
    repository = ImageRepository(f"{server.name}/a/b")
    found = repository.document(TAG)
    assert found is not None
    mark(repository, found, fingerprint, {})
    server.asked.clear()
    return digest


def ask(server: Registry, provenance: bool = False) -> tuple[tuple[Held, ...], list[str]]:
    said: list[str] = []
    known = {"b": FINGERPRINT}
    return (
        held(
            PLAN, ("b",), known, f"{server.name}/a", said.append, provenance=provenance, seconds=600
        ),
        said,
    )


def version(server: Registry, images: tuple[Held, ...]) -> None:
    retag(images, {"b": f"{server.name}/a/b:v2"})


@pytest.mark.parametrize("manifest", [IMAGE, ATTESTED], ids=["manifest", "index"])
@pytest.mark.parametrize("referrers", [True, False])
def test_the_same_bytes_get_another_tag_and_no_blob_is_asked_for(
    manifest: dict[str, Any], referrers: bool
) -> None:
    with registry(referrers) as server:
        digest = release(server, manifest)
        images, said = ask(server)
        version(server, images)
        assert server.manifests["v2"] == server.manifests[TAG] == server.manifests[digest]
        assert [image.digest for image in images] == [digest]
        assert [line for line in server.asked if "blobs" in line] == []
        assert [line for line in server.asked if line.startswith("PUT")] == [
            "PUT /v2/a/b/manifests/v2"
        ]
        listed = ImageRepository(f"{server.name}/a/b").referrers(digest)
    assert len(listed) == 1, "what is attached stays attached"
    assert said == []


def test_who_may_read_is_asked_again_whether_they_may_write(tmp_path: Path) -> None:
    with registry(auth="token") as server:
        log_in(server, tmp_path)
        digest = release(server)
        images, _ = ask(server)
        version(server, images)
        assert server.manifests["v2"] == server.manifests[digest]
        (tmp_path / "config.json").unlink()
        with pytest.raises(BuildError, match="answers PUT manifests/v2 with 401"):
            version(server, images)


@pytest.mark.parametrize("referrers", [True, False])
def test_a_tag_that_somebody_moved_to_another_image_is_a_doubt(referrers: bool) -> None:
    with registry(referrers) as server:
        release(server)
        server.put(TAG, MANIFEST, {**IMAGE, "annotations": {"by": "somebody else"}})
        assert ask(server) == (
            (),
            [
                "built to be sure: b: the registry has an image that does not say that it was"
                " released for this"
            ],
        )


@pytest.mark.parametrize("referrers", [True, False])
def test_an_image_that_was_released_for_something_else_is_a_doubt(referrers: bool) -> None:
    with registry(referrers) as server:
        release(server, fingerprint="sha256:" + "5" * 63 + "4")  # whose tag is the same
        assert ask(server)[0] == ()


def test_all_doubts_are_one_line() -> None:
    both = plan(fleet(service("b"), service("c")))
    known = {"b": FINGERPRINT, "c": "sha256:" + "6" * 64}
    said: list[str] = []
    with registry() as server:
        for value in known.values():
            server.put(tag(value), MANIFEST, IMAGE)
        server.faults["HEAD"] = iter((Fault(403),))
        assert held(both, ("b", "c"), known, f"{server.name}/a", said.append) == ()
    (line,) = said
    assert line.startswith("built to be sure: ")
    assert sorted(part.split(": ")[-1] for part in line.split("; ")) == [
        "the registry answers 403",
        "the registry has an image that does not say that it was released for this",
    ]


def test_an_image_may_have_been_released_for_several() -> None:
    with registry(referrers=True) as server:
        release(server, fingerprint="sha256:another")
        digest = release(server)
        assert [image.digest for image in ask(server)[0]] == [digest]


def test_a_tag_that_moves_between_two_questions_does_not_move_us() -> None:
    with registry() as server:
        digest = release(server)
        images, _ = ask(server)
        server.put(TAG, MANIFEST, {**IMAGE, "annotations": {"by": "somebody else"}})
        version(server, images)
        assert server.manifests["v2"] == server.manifests[digest]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(404), "has a tag of no image"),
        (Fault(403), "answers 403"),
        (Fault(500), "answers 500"),
        (Fault(200, {"Content-Type": MANIFEST}, b"garbage"), "answers with another image"),
        (
            Fault(200, {"Content-Type": MANIFEST}, json.dumps(IMAGE).encode()[:-9]),
            "answers with another image",
        ),
    ],
)
def test_an_image_that_cannot_be_read_is_a_doubt(fault: Fault, why: str) -> None:
    with registry() as server:
        release(server)
        server.faults["GET"] = itertools.repeat(fault)
        assert ask(server) == ((), [f"built to be sure: b: the registry {why}"])


@pytest.mark.parametrize(
    "listed", [b"garbage", b"[]", b'{"manifests": 5}', b'{"manifests": [[], {}]}', b"{}"]
)
def test_a_list_of_what_is_attached_that_cannot_be_read_is_a_doubt(listed: bytes) -> None:
    with registry(referrers=True) as server:
        digest = release(server)
        image = Fault(200, {"Content-Type": MANIFEST}, server.manifests[digest][1])
        server.faults["GET"] = iter((image, Fault(200, {"Content-Type": INDEX}, listed)))
        found, said = ask(server)
    assert found == ()
    assert said[0].startswith("built to be sure: b: the registry ")


@pytest.mark.parametrize("artifact", [b"5", b'{"layers": 5}', b'{"layers": [{}]}'])
def test_a_statement_that_cannot_be_read_is_a_doubt(artifact: bytes) -> None:
    with registry(referrers=True) as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        other = server.put("x", MANIFEST, {"artifactType": KIND, "subject": {"digest": digest}})
        answers = [
            Fault(200, {"Content-Type": MANIFEST}, server.manifests[digest][1]),
            Fault(
                200,
                {"Content-Type": INDEX},
                json.dumps({"manifests": [{"artifactType": KIND, "digest": "x"}]}).encode(),
            ),
            Fault(200, {"Content-Type": MANIFEST}, artifact),
        ]
        server.faults["GET"] = iter(answers)
        assert ask(server)[0] == ()
        assert other


def test_with_provenance_an_image_without_is_built() -> None:
    with registry() as server:
        release(server)
        assert ask(server, provenance=True) == ((), [])
        digest = release(server, ATTESTED)
        assert [image.digest for image in ask(server, provenance=True)[0]] == [digest]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(403, {}, b"you may not"), "answers PUT manifests/v2 with 403\nyou may not"),
        (Fault(303, {"Location": f"/v2/a/b/manifests/{TAG}"}), "did not take sha256:"),
        (Fault(201, {"Docker-Content-Digest": "sha256:" + "0" * 64}), "did not take sha256:"),
    ],
)
def test_a_tag_that_the_registry_does_not_take_is_an_error(fault: Fault, words: str) -> None:
    with registry() as server:
        release(server)
        images, _ = ask(server)
        server.faults["PUT"] = iter((fault,))
        with pytest.raises(BuildError) as caught:
            version(server, images)
    assert caught.value.message.startswith("images that the registry has could not be tagged\n")
    assert f"{server.name}/a/b:v2" in caught.value.message
    assert words in caught.value.message
