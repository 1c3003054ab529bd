"""What is read of an OCI layout that a build wrote, and what is not read again."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from slimbake import docker
from slimbake.images import measured as measure
from slimbake.images.sizes import MeasuredLayer

BELOW = MeasuredLayer(
    diff="sha256:" + "1" * 64, blob="sha256:" + "a" * 64, uncompressed=7, compressed=5, files=2
)


def tar(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def written(layouts: Path, name: str, layer: bytes, kind: str = "zstd") -> str:
    """Put an image with one layer above BELOW where a build would; its id."""

    def put(content: bytes) -> str:
        (layouts / name / "blobs" / "sha256" / digest(content).removeprefix("sha256:")).write_bytes(
            content
        )
        return digest(content)

    stored = zstandard.compress(layer) if kind == "zstd" else layer
    config = {"rootfs": {"diff_ids": [BELOW.diff, digest(layer)]}}
    media = "application/vnd.oci.image.layer.v1.tar" + (f"+{kind}" if kind else "")
    manifest: dict[str, Any] = {
        "config": {"digest": put(json.dumps(config).encode())},
        "layers": [
            {"digest": BELOW.blob, "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"},
            {"digest": put(stored), "mediaType": media},
        ],
    }
    return put(json.dumps(manifest).encode())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / ".slimbake" / "measured.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"sha256:" + "0" * 64: [BELOW.as_json()]}))
    return path


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("an engine was asked to save images")

    monkeypatch.setattr(docker, "saved", refuse)


def test_only_a_layer_that_is_new_is_read(cache: Path) -> None:
    layouts = measure.known_layers(["one", "two"], cache)
    assert layouts
    one, two = tar(a=b"abc", b=b"de"), tar(c=b"x" * 1000)
    images = {"one": written(layouts, "one", one), "two": written(layouts, "two", two, kind="")}
    found = {
        image.name: image.layers for image in measure.measure_images(images, cache, layouts).images
    }
    assert found["one"][0] == found["two"][0] == BELOW
    assert (found["one"][1].uncompressed, found["one"][1].files) == (5, 2)
    assert found["one"][1].compressed == len(zstandard.compress(one))
    assert found["two"][1].compressed is None, (
        "stored as it is: what it weighs compressed is not known"
    )
    assert not layouts.exists()
    again = measure.measure_images(images, cache, None)
    assert {image.name: image.layers for image in again.images} == found, "from the record alone"


def test_where_nothing_is_known_there_is_no_layout(tmp_path: Path) -> None:
    assert measure.known_layers(["one"], tmp_path / "measured.json") is None


def test_what_a_killed_bake_left_is_not_taken_for_a_layer(cache: Path) -> None:
    old = measure.known_layers(["one"], cache)
    assert old
    written(old, "one", tar(a=b"abc"))
    new = measure.known_layers(["one"], cache)
    assert new == old
    assert [path.name for path in (new / "blobs" / "sha256").iterdir()] == [
        BELOW.blob.removeprefix("sha256:")
    ]


def test_an_image_that_no_build_wrote_is_saved_by_the_engine(cache: Path) -> None:
    layouts = measure.known_layers(["one"], cache)
    with pytest.raises(AssertionError, match="asked to save"):
        measure.measure_images({"one": "sha256:" + "9" * 64}, cache, layouts)


def test_an_image_for_several_platforms_weighs_what_this_machine_s_does(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    layouts = measure.known_layers(["app"], cache)
    assert layouts
    here, there = tar(a=b"1" * 10), tar(a=b"1" * 20)
    manifests = [
        {
            "digest": written(layouts, "app", layer),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, layer in (("arm64", there), ("amd64", here))
    ]
    index = json.dumps({"manifests": manifests}).encode()
    (layouts / "app" / "blobs" / "sha256" / digest(index).removeprefix("sha256:")).write_bytes(
        index
    )
    (image,) = measure.measure_images({"app": digest(index)}, cache, layouts).images
    assert [layer.diff for layer in image.layers] == [BELOW.diff, digest(here)]
