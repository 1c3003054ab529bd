"""Images wherever they lie: how they are addressed, found and read, and what is said of those that
are broken.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.unit.layouts import Made, digest, packed, tar, write

from slimbake import docker
from slimbake.errors import SetupError, UsageError
from slimbake.images import opened, streams
from slimbake.images.layout import Blobs
from slimbake.images.model import Address, StoredImage, StoredLayer, address, short_name

AMD = "linux/amd64"
ONE = Made((tar({"a": b"abc"}), tar({"b": b"d" * 5000})))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("registry://127.0.0.1:5000/a/b:1", Address("registry", "127.0.0.1:5000/a/b:1")),
        ("oci-layout://out", Address("layout", "out")),
        ("oci-layout:///a/out:1.2", Address("layout", "/a/out", "1.2")),
        ("oci-layout://out@sha256:ab", Address("layout", "out", "sha256:ab")),
        ("oci-layout://out.tar:host:5000/a/b:1", Address("layout", "out.tar", "host:5000/a/b:1")),
        ("./out", Address("layout", "./out")),
        ("../out:latest", Address("layout", "../out", "latest")),
        ("/a/b", Address("layout", "/a/b")),
        ("fleet.tar", Address("layout", "fleet.tar")),
        ("registry.example.com/a/b:1", Address("engine", "registry.example.com/a/b:1")),
        ("registry:2", Address("engine", "registry:2")),
        ("sha256:ab", Address("engine", "sha256:ab")),
    ],
)
def test_an_address_says_where_an_image_lies(text: str, found: Address) -> None:
    assert address(text) == found
    assert address(str(found)) == found


@pytest.mark.parametrize(
    "reference", ["one", "a/one", "host:5000/a/one:1", "host:5000/a/one@sha256:ab", "one:1"]
)
def test_the_short_name_of_an_image_is_the_last_part_of_its_repository(reference: str) -> None:
    assert short_name(reference) == "one"


def only(text: str, platform: str = AMD) -> StoredImage:
    with opened(address(text), platform) as source:
        (image,) = source.images
        return image


@pytest.mark.parametrize("compression", ["zstd", "gzip", ""])
def test_a_folder_and_a_tar_file_hold_the_same_image(tmp_path: Path, compression: str) -> None:
    made = Made(ONE.layers, compression=compression)
    layout = write(tmp_path / "out", made)
    found = only(f"oci-layout://{layout}")
    assert only(str(packed(layout))) == found
    assert (found.name, [layer.diff for layer in found.layers]) == (
        "one",
        [digest(layer) for layer in ONE.layers],
    )
    assert [layer.compressed for layer in found.layers] == [bool(compression)] * 2
    with opened(address(str(layout)), AMD) as source:
        for layer, content in zip(found.layers, ONE.layers, strict=True):
            with streams.layer(source.blobs, layer) as plain:
                assert plain.read(1 << 20) == content


def test_one_of_several_images_is_chosen_by_its_name_its_tag_or_its_digest(tmp_path: Path) -> None:
    two = Made((tar({"c": b"x"}),), name="registry.example.com/toys/two:old")
    layout = write(tmp_path / "out", ONE, two)
    with opened(address(str(layout)), AMD) as source:
        assert [image.name for image in source.images] == ["one", "two"]
    found = only(f"oci-layout://{layout}:old")
    assert found.name == "two"
    assert (
        only(f"oci-layout://{layout}:{two.name}")
        == only(f"oci-layout://{layout}@{found.digest}")
        == found
    )
    with pytest.raises(UsageError, match="holds no image 'new'") as caught:
        only(f"oci-layout://{layout}:new")
    assert "toys/two:old" in caught.value.hint


def test_of_an_index_the_image_of_the_platform_is_taken(tmp_path: Path) -> None:
    arm = Made((tar({"a": b"arm"}),), platform="linux/arm64")
    layout = write(tmp_path / "out", ONE, arm)
    assert [layer.diff for layer in only(str(layout), "linux/arm64").layers] == [
        digest(arm.layers[0])
    ]
    assert len(only(str(layout)).layers) == 2
    with pytest.raises(UsageError, match="no image for linux/s390x") as caught:
        only(str(layout), "linux/s390x")
    assert caught.value.hint == "`--platform` takes: linux/amd64, linux/arm64"


def test_an_index_of_one_image_and_its_attestation_needs_no_platform(tmp_path: Path) -> None:
    layout = write(tmp_path / "out", ONE, Made((), platform="unknown/unknown"))
    assert len(only(str(layout), "linux/arm64").layers) == 2


def test_what_is_no_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.tar").write_bytes(b"no tar at all")
    for path, reason in (
        (tmp_path, "no index.json"),
        (tmp_path / "no.tar", "no such"),
        (tmp_path / "file.tar", "no unc"),
    ):
        with pytest.raises(UsageError, match=reason):
            only(str(path))


def read_whole(blobs: Blobs, layer: StoredLayer) -> None:
    with streams.layer(blobs, layer) as plain:
        assert [member.name for member, _ in streams.members(plain)]


@pytest.mark.parametrize("harm", ["truncated", "swapped", "missing", "garbage"])
def test_a_layer_that_is_not_what_its_image_names_is_found_out(tmp_path: Path, harm: str) -> None:
    layout = write(tmp_path / "out", ONE)
    layer = only(str(layout)).layers[1]
    path = layout / "blobs" / "sha256" / layer.blob.removeprefix("sha256:")
    if harm == "missing":
        path.unlink()
    else:
        first = (
            layout / "blobs" / "sha256" / only(str(layout)).layers[0].blob.removeprefix("sha256:")
        ).read_bytes()
        path.write_bytes(
            {
                "truncated": path.read_bytes()[:-20],
                "swapped": first,
                "garbage": b"\x28\xb5\x2f\xfdxx",
            }[harm]
        )
    with opened(address(str(layout)), AMD) as source, pytest.raises(SetupError, match=layer.blob):
        read_whole(source.blobs, layer)


class Registry(BaseHTTPRequestHandler):
    """As much of a registry as is read: documents by tag and digest, blobs, and who may have them."""

    layout: ClassVar[Path]
    wants: ClassVar[str] = ""

    def do_GET(self) -> None:
        if self.path.startswith("/token"):
            given = (
                self.headers.get("Authorization")
                == f"Basic {base64.b64encode(b'me:secret').decode()}"
            )
            return self.answer(200 if given else 401, json.dumps({"token": "t0ken"}).encode())
        if (
            self.wants
            and self.headers.get("Authorization")
            != {
                "basic": f"Basic {base64.b64encode(b'me:secret').decode()}",
                "bearer": "Bearer t0ken",
            }[self.wants]
        ):
            return self.answer(401)
        name = self.path.rpartition("/")[2]
        if name == "latest":
            name = json.loads((self.layout / "index.json").read_text())["manifests"][0]["digest"]
        path = self.layout / "blobs" / name.replace(":", "/")
        if (
            "/blobs/" in self.path
            and path.is_file()
            and path.read_bytes().startswith(b'{"schemaVersion"')
        ):
            return self.answer(404)  # a manifest is no blob
        return (
            self.answer(200, path.read_bytes())
            if path.is_file()
            else self.answer(404 if name else 200)
        )

    def answer(self, code: int, content: bytes = b"") -> None:
        self.send_response(code)
        if code == 401:
            host = f"http://{self.headers['Host']}"
            asked = {
                "basic": 'Basic realm="here"',
                "bearer": f'Bearer realm="{host}/token",service="s",scope="x"',
            }
            self.send_header("WWW-Authenticate", asked[self.wants])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(Registry, "layout", write(tmp_path / "out", ONE), raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("wants", ["", "basic", "bearer"])
def test_a_registry_is_asked_with_docker_s_own_credentials(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wants: str
) -> None:
    monkeypatch.setattr(Registry, "wants", wants)
    (tmp_path / "docker").mkdir()
    auths = {"auths": {host: {"auth": base64.b64encode(b"me:secret").decode()}}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps(auths))
    with opened(address(f"registry://{host}/toys/one:latest"), AMD) as source:
        (image,) = source.images
        assert image == only(str(tmp_path / "out"))
        for layer, content in zip(image.layers, ONE.layers, strict=True):
            with streams.layer(source.blobs, layer) as plain:
                assert plain.read(1 << 20) == content


@pytest.mark.parametrize("wants", ["basic", "bearer"])
def test_a_registry_that_wants_credentials_says_so_at_once(
    host: str, monkeypatch: pytest.MonkeyPatch, wants: str
) -> None:
    monkeypatch.setattr(Registry, "wants", wants)
    with pytest.raises(SetupError) as caught:
        only(f"registry://{host}/toys/one:latest")
    assert "docker login" in caught.value.hint


def test_of_an_index_on_a_registry_the_image_of_the_platform_is_taken(
    host: str, tmp_path: Path
) -> None:
    arm = Made((tar({"a": b"arm"}),), platform="linux/arm64")
    write(tmp_path / "out", ONE, arm)
    found = only(f"registry://{host}/toys/one:latest", "linux/arm64")
    assert [layer.diff for layer in found.layers] == [digest(arm.layers[0])]
    assert only(f"registry://{host}/toys/one@{found.manifest}").layers == found.layers


def test_what_a_registry_does_not_have_and_one_that_is_not_there(host: str) -> None:
    with pytest.raises(UsageError, match="toys/one:other"):
        only(f"registry://{host}/toys/one:other")
    with pytest.raises(SetupError, match="does not answer"):
        only("registry://127.0.0.1:1/toys/one:latest")


def test_an_engine_that_saves_no_layout_is_distinguished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text("[]")
    old = packed(tmp_path / "old")
    monkeypatch.setattr(docker, "saved", lambda _: old.open("rb"))
    monkeypatch.setattr("slimbake.images.identity", lambda _: "sha256:1")
    with pytest.raises(SetupError, match="old form"):
        only("one:latest")
