"""All answers that a registry can give, and those that it cannot: an end, words that name it, and no
tag that moved; once it is well, the same command goes on.
"""

import gzip
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.abuse.conftest import Slimbake
from tests.unit.layouts import digest, tar
from tests.unit.registries import Fault, Registry, registry, waits

from slimbake.console import QUIET
from slimbake.errors import SlimbakeError
from slimbake.project import load
from slimbake.registry import ImageRepository
from slimbake.registry.documents import MANIFEST
from slimbake.release.on_registry import OnRegistry, on_registry, retag
from slimbake.release.statement import mark

STATUSES = (
    *(100, 202, 204, 206, 226, 304, 400, 401, 403, 404, 405, 406, 408, 409, 413, 416, 418, 421),
    *(422, 425, 429, 431, 451, 500, 501, 502, 503, 504, 507, 508, 511, 520, 529, 599),
)
AROUND = {"Location": "/v2/one/manifests/x"}
DIGESTED = {"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:evil"}
OTHER = {"Content-Type": MANIFEST, "Docker-Content-Digest": f"sha256:{'0' * 64}"}
FAULTS = {
    **{str(status): Fault(status) for status in STATUSES},
    **{f"{status} round": Fault(status, AROUND) for status in (301, 302, 303, 307, 308)},
    "a redirect to a file": Fault(302, {"Location": "file:///etc/passwd"}),
    "a redirect to nowhere": Fault(307, {"Location": "http://127.0.0.1:1/"}),
    "a redirect without an address": Fault(302),
    "hangs": Fault(how="never"),
    "hangs up": Fault(how="cut"),
    "cut off": Fault(200, {"Content-Length": "999"}, b"{"),
    "not what it says": Fault(200, {"Content-Encoding": "gzip"}, b"no gzip"),
    "come back in a year": Fault(429, {"Retry-After": "31536000"}),
    "come back soon": Fault(503, {"Retry-After": "soon"}),
    "who are you": Fault(401, {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}),
    "who are you, nowhere": Fault(401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/"'}),
    "who are you, in no words": Fault(401, {"WWW-Authenticate": "\x00=,,="}),
    "a page": Fault(200, {"Content-Type": "text/html"}, b"<html>log in</html>"),
    "escapes of a terminal": Fault(400, {}, b"\x1b]0;owned\x07\x9b2J\n::error::x"),
    "a message without end": Fault(400, {}, b"x" * 3_000_000),
    "no digest": Fault(200, {"Content-Type": MANIFEST}, b"{}"),
    "a digest of nothing": Fault(200, DIGESTED, b"{}"),
    "a digest of another": Fault(200, OTHER, b"{}"),
    **{
        f"a manifest that is {kind}": Fault(200, {"Content-Type": MANIFEST}, said)
        for kind, said in {
            "null": b"null",
            "a list": b"[]",
            "a text": b'"x"',
            "nested without end": b"[" * 200_000,
            "not UTF-8": b'{"a": "\xff"}',
            "an index of nulls": b'{"manifests": [null]}',
            "an index of texts": b'{"manifests": "x"}',
        }.items()
    },
}
FINGERPRINT = "sha256:" + "5" * 64
LAYER = gzip.compress(tar({"opt/slimbake/a.txt": b"a"}), mtime=0)
ROOTFS = {"type": "layers", "diff_ids": [digest(gzip.decompress(LAYER))]}
CONFIG = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": ROOTFS}
MANIFEST_TEXT = 'project: toys\npython: "3.11"\nservices: {one: {context: one}}\n'


def descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def stock(server: Registry) -> dict[str, Any]:
    """Have a registry hold the image `one`, released; its manifest."""
    config = json.dumps(CONFIG).encode()
    said: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", LAYER)],
    }
    server.blobs |= {said["config"]["digest"]: config, said["layers"][0]["digest"]: LAYER}
    server.put("latest", MANIFEST, said)
    repository = ImageRepository(f"{server.name}/one")
    found = repository.document("latest")
    assert found
    mark(repository, found, FINGERPRINT, {})
    return said


Deed = Callable[[Registry, Slimbake, Path], None]


def digests(server: Registry, slimbake: Slimbake, root: Path) -> None:
    done = slimbake("export", "digests", "--registry", server.name, at=root)
    assert done.code == 0 or server.name in done.stderr
    if done.code:
        raise SlimbakeError(done.stderr)


def missing(server: Registry, slimbake: Slimbake, root: Path) -> None:
    plan = load(root / "services.yaml").plan
    found = on_registry(plan, ["one"], {"one": FINGERPRINT}, server.name, QUIET)
    if not found:
        raise SlimbakeError("it is built, to be sure")


def tagged(server: Registry, slimbake: Slimbake, root: Path) -> None:
    document = ImageRepository(f"{server.name}/one").document("latest")
    assert document
    image = OnRegistry("one", f"{server.name}/one", document)
    retag([image], {"one": f"{server.name}/one:new"})


def attached(server: Registry, slimbake: Slimbake, root: Path) -> None:
    repository = ImageRepository(f"{server.name}/one")
    document = repository.document("latest")
    assert document
    mark(repository, document, "sha256:" + "6" * 64, {})


DEEDS: dict[str, tuple[Deed, str]] = {
    "digests": (digests, "GET"),
    "missing": (missing, "GET"),
    "tagged": (tagged, "PUT"),
    "attached, asked": (attached, "POST"),
    "attached": (attached, "PUT"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    waits(monkeypatch)
    with registry() as made:
        yield made


@contextmanager
def impatient() -> Iterator[None]:
    """A registry that is silent for 0.2 s gives no answer: only where it is to fail, since a busy
    machine may take longer for an answer that is right.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slimbake.registry.session.TIMEOUTS", (1.0, 0.2))
        yield


def tags(server: Registry) -> dict[str, object]:
    return {name: held for name, held in server.manifests.items() if ":" not in name}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "one").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFEST_TEXT)
    return tmp_path


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_answer_of_a_registry_ends_and_moves_nothing(
    fault: str, deed: str, server: Registry, slimbake: Slimbake, root: Path
) -> None:
    stock(server)
    do, method = DEEDS[deed]
    before = tags(server)
    server.faults[method] = itertools.repeat(FAULTS[fault])
    try:
        with impatient():
            do(server, slimbake, root)
    except SlimbakeError as error:
        assert len(error.message) < 10_000
    assert tags(server) == before
    server.faults.clear()
    do(server, slimbake, root)
