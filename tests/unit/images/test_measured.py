"""What is read of an OCI layout that a build wrote, and what is not read again."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from slimbake import docker
from slimbake.console import Console
from slimbake.host.workspace import Workspace
from slimbake.images import measured as measure
from slimbake.images.sizes import MeasuredLayer
from slimbake.images.streams import zstd

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

    stored = zstd.compress(layer) if kind == "zstd" else layer
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
def workspace(tmp_path: Path) -> Workspace:
    """One that knows an image of one layer."""
    found = Workspace(tmp_path)
    found.write(measure.MEASURED, {"sha256:" + "0" * 64: [BELOW.as_json()]})
    return found


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("an engine was asked to save images")

    monkeypatch.setattr(docker, "saved", refuse)


def test_only_a_layer_that_is_new_is_read(workspace: Workspace) -> None:
    layouts = measure.known_layers(["one", "two"], workspace)
    assert layouts
    one, two = tar(a=b"abc", b=b"de"), tar(c=b"x" * 1000)
    images = {"one": written(layouts, "one", one), "two": written(layouts, "two", two, kind="")}
    found = {
        image.name: image.layers
        for image in measure.measure_images(images, workspace, layouts).images
    }
    assert found["one"][0] == found["two"][0] == BELOW
    assert (found["one"][1].uncompressed, found["one"][1].files) == (5, 2)
    assert found["one"][1].compressed == len(zstd.compress(one))
    assert found["two"][1].compressed is None, (
        "stored as it is: what it weighs compressed is not known"
    )
    assert not layouts.exists()
    again = measure.measure_images(images, workspace, None)
    assert {image.name: image.layers for image in again.images} == found, "from the record alone"


def test_where_nothing_is_known_there_is_no_layout(tmp_path: Path) -> None:
    assert measure.known_layers(["one"], Workspace(tmp_path)) is None
    assert measure.known_layers(["one"], Workspace(None)) is None


def test_where_the_workspace_cannot_be_written_to_the_engine_saves_the_images(
    workspace: Workspace,
) -> None:
    workspace.path("layouts").write_text("a file in the place of the folder")
    assert measure.known_layers(["one"], workspace) is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"sha256:0": 1}', '{"sha256:0": [{}]}', '{"sha256:0": [{"x": 1}]}']
)
def test_a_record_that_is_no_record_is_reported_and_holds_nothing(
    text: str, tmp_path: Path
) -> None:
    said: list[str] = []
    workspace = Workspace(tmp_path, Console(said.append))
    workspace.path("").mkdir()
    workspace.path("measured.json").write_text(text)
    assert measure.remembered({"one": "sha256:0"}, workspace).images == ()
    assert said == [".slimbake/measured.json cannot be read, and is discarded"]
    assert measure.stored({"one": "sha256:0"}, workspace) is None


def test_what_a_killed_bake_left_is_not_taken_for_a_layer(workspace: Workspace) -> None:
    old = measure.known_layers(["one"], workspace)
    assert old
    written(old, "one", tar(a=b"abc"))
    new = measure.known_layers(["one"], workspace)
    assert new == old
    assert [path.name for path in (new / "blobs" / "sha256").iterdir()] == [
        BELOW.blob.removeprefix("sha256:")
    ]


def test_an_image_that_no_build_wrote_is_saved_by_the_engine(workspace: Workspace) -> None:
    layouts = measure.known_layers(["one"], workspace)
    with pytest.raises(AssertionError, match="asked to save"):
        measure.measure_images({"one": "sha256:" + "9" * 64}, workspace, layouts)


def test_an_image_for_several_platforms_weighs_what_this_machine_s_does(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    layouts = measure.known_layers(["app"], workspace)
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
    (image,) = measure.measure_images({"app": digest(index)}, workspace, layouts).images
    assert [layer.diff for layer in image.layers] == [BELOW.diff, digest(here)]
