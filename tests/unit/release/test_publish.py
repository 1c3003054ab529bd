"""What a push attaches to what: each platform's SBOM to its own manifest, and nothing to somebody
else's image.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.fleets import fleet, service, unlocked
from tests.unit.registries import EITHER_WAY, Fault, Registry
from tests.unit.release.played import site

from slimbake.errors import BuildError
from slimbake.fleet import Fleet
from slimbake.registry import ImageRepository
from slimbake.registry.documents import INDEX, MANIFEST
from slimbake.release import publish as publishing
from slimbake.release.place import BakeRequest, BuildPlace, BuiltImage
from slimbake.release.publish import publish, sboms
from slimbake.release.sbom import MEDIA_TYPE as KIND_OF_SBOM
from slimbake.release.statement import KIND, stated

PLATFORMS = ("linux/amd64", "linux/arm64/v8")


@pytest.fixture(autouse=True)
def pushed(no_account: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was pushed, without an engine: the SBOM of an image is the name of its platform."""
    found: list[str] = []
    monkeypatch.setattr("slimbake.docker.push_image", found.append)
    monkeypatch.setattr(publishing, "sbom", lambda *words: f"{words[1]} {words[4]}")
    return found


def image(server: Registry, tag: str, platform: str) -> dict[str, Any]:
    """An image in the registry, as an index lists it."""
    manifest = {"mediaType": MANIFEST, "config": {"digest": f"sha256:{tag}"}, "layers": []}
    words = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    return {
        "mediaType": MANIFEST,
        "digest": server.put(tag, MANIFEST, manifest),
        "size": 1,
        "platform": words,
    }


def send(
    server: Registry, digest: str, whole: Fleet, fingerprints: Mapping[str, str] = {}
) -> dict[str, str]:
    held = site(unlocked(whole))
    images, names = (BuiltImage(name="api", image=digest),), {"api": f"{server.name}/a/b:latest"}
    request = BakeRequest(targets=("api",), registry=f"{server.name}/a", push=True)
    documents = sboms(held, images)
    return publish(held, BuildPlace(), images, names, request, documents, fingerprints)


def attached(server: Registry, digest: str) -> list[bytes]:
    repository = ImageRepository(f"{server.name}/a/b")
    found = [repository.document(each["digest"]) for each in repository.referrers(digest)]
    return [server.blobs[artifact.read()["layers"][0]["digest"]] for artifact in found if artifact]


def test_each_platform_of_an_image_gets_its_own(server: Registry) -> None:
    entries = [image(server, platform, platform) for platform in PLATFORMS]
    beside = image(server, "provenance", "unknown/unknown")
    digest = server.put("latest", INDEX, {"mediaType": INDEX, "manifests": [*entries, beside]})
    at = send(server, digest, fleet(service("api"), platforms=PLATFORMS))
    found = [attached(server, entry["digest"]) for entry in (*entries, beside)]
    assert found == [[b"api linux/amd64"], [b"api linux/arm64/v8"], []]
    assert at == {"api": f"{server.name}/a/b@{digest}"}


@pytest.mark.parametrize("by", ["manifest", "configuration"])
def test_an_image_is_known_by_whichever_digest_its_engine_calls_it(
    server: Registry, by: str
) -> None:
    digest = image(server, "latest", "linux/amd64")["digest"]
    send(server, digest if by == "manifest" else "sha256:latest", fleet(service("api")))
    assert attached(server, digest) == [b"api "]


def test_an_image_that_somebody_else_pushed_meanwhile_is_left_alone(server: Registry) -> None:
    digest = image(server, "latest", "linux/amd64")["digest"]
    with pytest.raises(BuildError, match="is another image by now: nothing was attached to it"):
        send(server, "sha256:mine", fleet(service("api")))
    assert attached(server, digest) == []


def test_a_dockerfile_of_the_users_own_has_no_sbom_and_it_says_so() -> None:
    said: list[str] = []
    own = unlocked(fleet(service("api", dockerfile="own.Dockerfile")))
    assert sboms(site(own, said), (BuiltImage(name="api", image="sha256:1"),)) == {}
    assert said == ["api: no SBOM, since its Dockerfile is its own"]


def test_an_image_for_one_platform_alone_is_asked_for_that() -> None:
    held = site(unlocked(fleet(service("api"), platforms=PLATFORMS)))
    image = BuiltImage(name="api", image="sha256:1")
    assert sboms(held, (image,), PLATFORMS[1]) == {"api": {PLATFORMS[1]: f"api {PLATFORMS[1]}"}}


def test_what_services_share_is_pushed_without_an_sbom(server: Registry) -> None:
    held = site(unlocked(fleet(service("api"))))
    digest = image(server, "latest", "linux/amd64")["digest"]
    images, names = (
        (BuiltImage(name="runtime", image=digest),),
        {"runtime": f"{server.name}/r:latest"},
    )
    request = BakeRequest(targets=("runtime",), registry=server.name, push=True)
    assert sboms(held, images) == {}
    found = publish(held, BuildPlace(), images, names, request, {}, {})
    assert [line for line in server.asked if line.startswith(("PUT", "POST"))] == []
    assert found == {"runtime": f"{server.name}/r@{digest}"}


def test_where_nothing_was_built_nothing_is_pushed(pushed: list[str]) -> None:
    held = site(unlocked(fleet(service("api"))))
    request = BakeRequest(targets=(), registry="r.example", push=True)
    assert publish(held, BuildPlace(), (), {}, request, {}, {"api": FINGERPRINT}) == {}
    assert pushed == []


# --- the tag of a fingerprint

FINGERPRINT = "sha256:" + "5" * 64
TAG = "fp-" + "5" * 40


def known(server: Registry) -> bool:
    """Whether what has the tag of the fingerprint says that it was released for it."""
    repository = ImageRepository(f"{server.name}/a/b")
    image = repository.document(TAG)
    return bool(image and stated(repository, image.descriptor.digest, FINGERPRINT))


def single(server: Registry) -> str:
    server.blobs["sha256:latest"] = b"{}"
    return str(image(server, "latest", "linux/amd64")["digest"])


@EITHER_WAY
def test_last_of_all_the_same_manifest_gets_the_tag_of_the_fingerprint(server: Registry) -> None:
    digest = single(server)
    send(server, digest, fleet(service("api")), {"api": FINGERPRINT})
    assert server.manifests[TAG] == server.manifests["latest"]
    assert server.asked[-1] == f"PUT /v2/a/b/manifests/{TAG}"
    assert [line for line in server.asked if line.startswith("POST")] == [
        "POST /v2/a/b/blobs/uploads/"
    ] * 4
    assert known(server)


def test_an_index_gets_it_as_a_whole(server: Registry) -> None:
    entries = [image(server, platform, platform) for platform in PLATFORMS]
    digest = server.put("latest", INDEX, {"mediaType": INDEX, "manifests": entries})
    send(server, digest, fleet(service("api"), platforms=PLATFORMS), {"api": FINGERPRINT})
    assert server.manifests[TAG] == server.manifests[digest]
    assert known(server)


def test_what_was_pushed_again_says_the_same_once(server: Registry) -> None:
    digest = single(server)
    for _ in range(2):
        send(server, digest, fleet(service("api")), {"api": FINGERPRINT})
    listed = ImageRepository(f"{server.name}/a/b").referrers(digest)
    assert sorted(each["artifactType"] for each in listed) == [KIND_OF_SBOM, KIND]


def test_without_a_fingerprint_there_is_no_tag(server: Registry) -> None:
    send(server, single(server), fleet(service("api")), {"another": FINGERPRINT})
    assert [line for line in server.asked if "fp-" in line] == []


def test_a_push_that_breaks_off_leaves_no_tag(server: Registry) -> None:
    digest = single(server)
    server.faults["POST"] = iter((Fault(403),))
    with pytest.raises(BuildError):
        send(server, digest, fleet(service("api")), {"api": FINGERPRINT})
    assert TAG not in server.manifests
