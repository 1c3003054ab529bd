"""What a registry has of a fleet by fingerprint, what counts as missing when it misbehaves in each
of its ways, and another tag for what is there.
"""

import itertools
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.unit.fleets import planned, service
from tests.unit.registries import ACCOUNT, EITHER_WAY, IDENTITY, Fault, Registry, registry, waits
from tests.unit.registry.test_registry import log_in

from slimbake.config.model import BaseEntry, Parity, WeightsEntry
from slimbake.console import QUIET, Console
from slimbake.errors import BuildError, SetupError
from slimbake.fingerprint.model import digest, fingerprint_tag
from slimbake.registry import ImageRepository
from slimbake.registry.address import Endpoint
from slimbake.registry.documents import INDEX, MANIFEST
from slimbake.registry.errors import RegistryError
from slimbake.registry.session import Host
from slimbake.release.inputs import released_fingerprints
from slimbake.release.on_registry import OnRegistry, on_registry, released_images, retag
from slimbake.release.statement import KIND, mark

IMAGE: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": MANIFEST,
    "layers": [],
    "config": {"digest": "sha256:0"},
}
FINGERPRINT = "sha256:" + "5" * 64
TAG = "fp-" + "5" * 40
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
def slept(no_account: None, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited between tries, without waiting."""
    return waits(monkeypatch)


def release(
    server: Registry,
    manifest: dict[str, Any] = IMAGE,
    fingerprint: str = FINGERPRINT,
    name: str = "a/b",
) -> str:
    """Have a registry hold an image that was released for a fingerprint; its digest."""
    server.blobs["sha256:0"] = b"{}"
    tag = fingerprint_tag(fingerprint)
    digest = server.put(tag, manifest["mediaType"], manifest)
    repository = ImageRepository(f"{server.name}/{name}")
    found = repository.document(tag)
    assert found is not None
    mark(repository, found, fingerprint, {})
    server.asked.clear()
    return digest


def look(server: Registry, *names: str) -> tuple[tuple[OnRegistry, ...], list[str]]:
    """What is found of services whose fingerprints are all the same, and what is said."""
    said: list[str] = []
    names = names or ("b",)
    made = planned(*map(service, names))
    found = on_registry(
        made,
        names,
        dict.fromkeys(names, FINGERPRINT),
        f"{server.name}/a",
        Console(said.append),
    )
    return found, said


def ask(server: Registry, *names: str) -> tuple[dict[str, str], list[str]]:
    """The same, of each image its digest."""
    found, said = look(server, *names)
    return {image.target: image.digest for image in found}, said


def doubt(why: str) -> tuple[dict[str, str], list[str]]:
    """What is given and said where the registry leaves it in doubt whether it has the image."""
    return {}, [f"built to be sure: b: the registry {why}"]


def faulty(server: Registry, *faults: Fault, method: str = "GET") -> None:
    server.faults[method] = iter(faults)


def test_what_has_the_tag_and_says_so_is_there_and_all_else_is_absent(server: Registry) -> None:
    digest = release(server)
    (found,), said = look(server)
    assert (found.target, found.digest, said) == ("b", digest, [])
    assert found.reference == f"{server.name}/a/b@{digest}"
    server.manifests.clear()
    assert ask(server) == ({}, [])


def test_what_is_absent_costs_one_question_and_what_has_no_fingerprint_nothing(
    server: Registry,
) -> None:
    made = planned(service("one"), service("two"), service("own"))
    known = {"one": FINGERPRINT, "two": FINGERPRINT}
    assert on_registry(made, ("two", "own", "one"), known, server.name, QUIET) == ()
    assert sorted(server.asked) == [
        "GET /v2/",
        f"GET /v2/one/manifests/{TAG}",
        f"GET /v2/two/manifests/{TAG}",
    ]


def test_nothing_to_ask_for_asks_nobody() -> None:
    said: list[str] = []
    made = planned(service("own"))
    assert on_registry(made, ("own",), {}, "127.0.0.1:1", Console(said.append)) == ()
    assert said == []


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(401), "answers 401"),
        (Fault(403), "answers 403"),
        (Fault(400), "answers 400"),
        (Fault(200, {"Content-Type": "text/html"}, b"<html>sign in"), "answers with no manifest"),
        (Fault(204, {"Content-Type": MANIFEST}), "answers with no manifest"),
        (Fault(401, {"WWW-Authenticate": "Bearer"}), "answers what cannot be read"),
        (
            Fault(401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/"'}),
            "cannot be reached",
        ),
    ],
)
def test_an_unclear_answer_is_a_doubt_and_asked_for_once(
    server: Registry, fault: Fault, why: str
) -> None:
    faulty(server, fault)
    assert ask(server) == doubt(why)
    assert server.asked.count(f"GET /v2/a/b/manifests/{TAG}") == 1


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(500), "answers 500"),
        (Fault(429), "answers 429"),
        (Fault(how="cut"), "cannot be reached"),
    ],
)
def test_a_lasting_bad_moment_is_a_doubt(
    server: Registry, fault: Fault, why: str, slept: list[float]
) -> None:
    server.faults["GET"] = itertools.repeat(fault)
    assert ask(server) == doubt(why)
    assert len(slept) == 2, "at once, and then after two pauses"


@pytest.mark.parametrize("how", ["never", "dripping"])
def test_a_registry_that_does_not_come_to_an_end_is_left(
    server: Registry, how: Literal["never", "dripping"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimbake.release.on_registry.SECONDS", 0.3)
    server.faults["GET"] = itertools.repeat(Fault(how=how))
    found, said = ask(server, "one", "two")
    assert found == {}
    assert said == ["built to be sure: one, two: the registry gives no answer within 0.3 s"]


def test_one_service_s_doubt_is_no_other_s(server: Registry) -> None:
    digest = release(server)
    faulty(server, Fault(403))
    found, said = ask(server, "one", "two", "three")
    assert list(found.values()) == [digest, digest]
    (left,) = {"one", "two", "three"} - set(found)
    assert said == [f"built to be sure: {left}: the registry answers 403"]


def test_of_many_doubts_a_few_are_named() -> None:
    said: list[str] = []
    services = tuple(f"s{number}" for number in range(1000))
    made = planned(*map(service, services))
    known = dict.fromkeys(services, FINGERPRINT)
    assert on_registry(made, services, known, "127.0.0.1:1", Console(said.append)) == ()
    assert said == ["built to be sure: s0, s1, s2 and 997 more: the registry cannot be reached"]


def test_a_registry_without_tls_where_there_should_be_some_is_a_doubt() -> None:
    with registry() as server, pytest.raises(RegistryError) as caught:
        Host(Endpoint(server.name, "a/b", server.name, plain=False))
    assert caught.value.why == "TLS fails"


def test_a_redirect_is_followed_but_not_for_ever(server: Registry) -> None:
    digest = release(server)
    aside = Fault(307, {"Location": f"/v2/a/elsewhere/manifests/{TAG}"})
    faulty(server, aside)
    assert ask(server) == ({"b": digest}, [])
    server.faults["GET"] = itertools.repeat(aside)
    assert ask(server) == doubt("redirects without end")


def test_whoever_may_not_read_learns_of_the_account_and_not_of_a_release() -> None:
    with registry(auth="basic") as server, pytest.raises(SetupError, match="401") as caught:
        released_images({"one": f"{server.name}/a/b:latest"})
    assert "docker login" in caught.value.hint


@pytest.mark.parametrize(("identity", "there"), [(IDENTITY, True), ("another", False)])
def test_an_identity_token_is_exchanged(identity: str, there: bool, tmp_path: Path) -> None:
    with registry(auth="token") as server:
        log_in(server, tmp_path, ACCOUNT)
        release(server)
        entry = {"auth": "PHRva2VuPjo=", "identitytoken": identity}
        (tmp_path / "config.json").write_text(json.dumps({"auths": {server.name: entry}}))
        found, said = ask(server)
        assert (list(found), len(said)) == ((["b"], 0) if there else ([], 1))
        assert "POST /token" in server.asked


def test_every_repository_has_a_token_of_its_own(tmp_path: Path) -> None:
    with registry(auth="token") as server:
        log_in(server, tmp_path, ACCOUNT)
        digest = release(server)
        assert ask(server, "one", "two", "three") == (
            dict.fromkeys(("one", "two", "three"), digest),
            [],
        )
        tokens = [number for number, line in enumerate(server.asked) if line == "GET /token"]
        heads = [number for number, line in enumerate(server.asked) if line.startswith("GET /v2/")]
        assert sum(number < max(heads) for number in tokens) == 3


SHARED = ("runtime", "base-ml", "weights-a-model-onnx-fp32", "reference-a-model-a")


def test_what_services_share_is_asked_for_too(server: Registry) -> None:
    model, parity = WeightsEntry("package", "a-model"), Parity("parity.py", "texts/a.jsonl")
    one = service("one", base="ml", weights=model, inference="onnx", parity=parity)
    made = planned(one, bases=(BaseEntry("ml"),))
    known = released_fingerprints(made, {t.name: digest(t.name) for t in made.targets})
    digests = {
        name: release(
            server,
            {**IMAGE, "annotations": {"is": name}},
            known[name],
            made.target(name).repository,
        )
        for name in SHARED
    }
    found = on_registry(made, SHARED, known, server.name, QUIET)
    assert {image.target: image.digest for image in found} == digests


# --- what is read of an image before it is taken


def version(server: Registry, images: tuple[OnRegistry, ...]) -> None:
    """Give images their name in a version."""
    retag(images, {"b": f"{server.name}/a/b:v2"})


@pytest.mark.parametrize("manifest", [IMAGE, ATTESTED], ids=["manifest", "index"])
@EITHER_WAY
def test_the_same_bytes_get_another_tag(server: Registry, manifest: dict[str, Any]) -> None:
    digest = release(server, manifest)
    images, said = look(server)
    version(server, images)
    assert server.manifests["v2"] == server.manifests[TAG] == server.manifests[digest]
    assert [image.digest for image in images] == [digest]
    assert [line for line in server.asked if "blobs" in line] == []
    assert [line for line in server.asked if line.startswith("PUT")] == ["PUT /v2/a/b/manifests/v2"]
    listed = ImageRepository(f"{server.name}/a/b").referrers(digest)
    assert len(listed) == 1, "what is attached stays attached"
    assert said == []


def test_who_may_read_is_asked_again_whether_they_may_write(tmp_path: Path) -> None:
    with registry(auth="token") as server:
        log_in(server, tmp_path)
        digest = release(server)
        images, _ = look(server)
        version(server, images)
        assert server.manifests["v2"] == server.manifests[digest]
        (tmp_path / "config.json").unlink()
        with pytest.raises(BuildError, match="answers PUT manifests/v2 with 401"):
            version(server, images)


@EITHER_WAY
def test_a_tag_that_somebody_moved_to_another_image_is_a_doubt(server: Registry) -> None:
    release(server)
    server.put(TAG, MANIFEST, {**IMAGE, "annotations": {"by": "somebody else"}})
    assert ask(server) == doubt("has an image that does not say that it was released for this")


@EITHER_WAY
def test_an_image_that_was_released_for_something_else_is_a_doubt(server: Registry) -> None:
    release(server, fingerprint="sha256:" + "5" * 63 + "4")  # whose tag is the same
    assert ask(server) == doubt("has an image that does not say that it was released for this")


def test_all_doubts_are_one_line(server: Registry) -> None:
    both = planned(service("b"), service("c"))
    known = {"b": FINGERPRINT, "c": "sha256:" + "6" * 64}
    said: list[str] = []
    for value in known.values():
        server.put(fingerprint_tag(value), MANIFEST, IMAGE)
    server.faults["GET"] = iter((Fault(403),))
    at = f"{server.name}/a"
    assert on_registry(both, ("b", "c"), known, at, Console(said.append)) == ()
    (line,) = said
    assert line.startswith("built to be sure: ")
    assert sorted(part.split(": ")[-1] for part in line.split("; ")) == [
        "the registry answers 403",
        "the registry has an image that does not say that it was released for this",
    ]


def test_an_image_may_have_been_released_for_several() -> None:
    with registry(referrers=True) as server:
        release(server, fingerprint="sha256:" + "6" * 64)
        digest = release(server)
        assert ask(server) == ({"b": digest}, [])


def test_a_tag_that_moves_between_two_questions_does_not_move_us(server: Registry) -> None:
    digest = release(server)
    images, _ = look(server)
    server.put(TAG, MANIFEST, {**IMAGE, "annotations": {"by": "somebody else"}})
    version(server, images)
    assert server.manifests["v2"] == server.manifests[digest]


@pytest.mark.parametrize(
    "listed", [b"garbage", b"[]", b'{"manifests": 5}', b'{"manifests": [[], {}]}', b"{}"]
)
def test_a_list_of_what_is_attached_that_cannot_be_read_is_a_doubt(listed: bytes) -> None:
    with registry(referrers=True) as server:
        digest = release(server)
        image = Fault(200, {"Content-Type": MANIFEST}, server.manifests[digest][1])
        server.faults["GET"] = iter((image, Fault(200, {"Content-Type": INDEX}, listed)))
        found, said = ask(server)
    assert found == {}
    assert said[0].startswith("built to be sure: b: the registry ")


@pytest.mark.parametrize("artifact", [b"5", b'{"layers": 5}', b'{"layers": [{}]}'])
def test_a_statement_that_cannot_be_read_is_a_doubt(artifact: bytes) -> None:
    with registry(referrers=True) as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        server.put("x", MANIFEST, {"artifactType": KIND, "subject": {"digest": digest}})
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
        assert ask(server) == doubt("answers what cannot be read")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(403, {}, b"you may not"), "answers PUT manifests/v2 with 403\nyou may not"),
        (Fault(303, {"Location": f"/v2/a/b/manifests/{TAG}"}), "did not take sha256:"),
        (Fault(201, {"Docker-Content-Digest": "sha256:" + "0" * 64}), "did not take sha256:"),
    ],
)
def test_a_tag_that_the_registry_does_not_take_is_an_error(
    server: Registry, fault: Fault, words: str
) -> None:
    release(server)
    images, _ = look(server)
    server.faults["PUT"] = iter((fault,))
    with pytest.raises(BuildError) as caught:
        version(server, images)
    assert caught.value.message.startswith("images that the registry has could not be tagged\n")
    assert f"{server.name}/a/b:v2" in caught.value.message
    assert words in caught.value.message
