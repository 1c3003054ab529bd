"""What is read of the engine's images, what is not read again, and what is said of broken ones."""

import json
from pathlib import Path

import pytest
from tests.unit.images.conftest import Engine
from tests.unit.layouts import Made, digest, packed, stored, tar, write

from slimbake import docker
from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host.workspace import Workspace
from slimbake.images.measure import (
    IMAGES,
    last_measurement,
    measure_images,
    prepare_layouts,
    survey,
)
from slimbake.images.sizes import Measurement

LOWER, UPPER = tar({"a": b"abc"}), tar({"b": b"d" * 5000})
ONE = Made((LOWER, UPPER))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def workspace(tmp_path: Path, said: list[str]) -> Workspace:
    return Workspace(tmp_path, Console(said.append))


@pytest.fixture
def measured(engine: Engine, workspace: Workspace) -> Measurement:
    """One image that was measured."""
    return measure_images(engine.hold(ONE), workspace)


@pytest.mark.parametrize("compression", ["zstd", "gzip", ""])
def test_an_image_weighs_what_its_layers_do(engine: Engine, compression: str) -> None:
    images = engine.hold(Made(ONE.layers, compression=compression))
    (one,) = measure_images(images, Workspace(None)).images
    assert (one.name, one.digest) == ("one", images["one"])
    found = [(layer.diff, layer.uncompressed, layer.files) for layer in one.layers]
    assert found == [(digest(LOWER), 3, 1), (digest(UPPER), 5000, 1)]
    weights = [len(stored(layer, compression)) if compression else None for layer in ONE.layers]
    assert [layer.compressed for layer in one.layers] == weights


def test_an_image_is_known_by_its_index_its_manifest_and_its_configuration(engine: Engine) -> None:
    arm = Made((tar({"a": b"arm"}),), platform="linux/arm64")
    images = engine.hold(ONE, arm, Made((), platform="unknown/unknown"))
    index = json.loads(engine.blob(images["one"]).read_bytes())
    manifest = index["manifests"][0]["digest"]
    config = json.loads(engine.blob(manifest).read_bytes())["config"]["digest"]
    names = {"index": images["one"], "manifest": manifest, "config": config}
    found = measure_images(names, Workspace(None)).images
    assert {image.uncompressed for image in found} == {5003}, "this machine's platform"


def test_an_image_for_another_platform_alone_is_measured_too(engine: Engine) -> None:
    layers = (tar({"a": b"arm"}),)
    platforms = ("linux/arm64", "unknown/unknown")
    images = engine.hold(*(Made(layers, platform=each) for each in platforms))
    (one,) = measure_images(images, Workspace(None)).images
    assert [layer.diff for layer in one.layers] == [digest(layers[0])]


def test_layers_are_read_once(engine: Engine, workspace: Workspace, measured: Measurement) -> None:
    assert measure_images(engine.images, workspace) == measured
    assert last_measurement({**engine.images, "two": "sha256:0"}, workspace) == measured
    assert survey(engine.images, workspace).measurement == measured
    assert len(engine.saves) == 1


def test_a_layer_whose_record_is_lost_is_read_again(
    engine: Engine, workspace: Workspace, measured: Measurement, said: list[str]
) -> None:
    first = survey(engine.images, workspace)
    name = f".slimbake/layers/{digest(UPPER).removeprefix('sha256:')}.json"
    (workspace.path("").parent / name).write_text('{"x": 1}')
    assert survey(engine.images, workspace) == first
    assert said == [f"{name} cannot be read, and is discarded"]
    assert len(engine.saves) == 2


@pytest.mark.parametrize("harm", ["truncated", "swapped", "garbage"])
def test_a_layer_that_is_not_what_its_image_names_is_found_out(engine: Engine, harm: str) -> None:
    images = engine.hold(ONE)
    blob = digest(stored(UPPER, "zstd"))
    path = engine.blob(blob)
    harmed = {
        "truncated": path.read_bytes()[:-20],
        "swapped": stored(tar({"c": b"x"}), "zstd"),
        "garbage": b"\x28\xb5\x2f\xfdxx",
    }
    path.write_bytes(harmed[harm])
    with pytest.raises(SetupError, match=blob):
        measure_images(images, Workspace(None))


def test_an_engine_that_saves_no_layout_is_distinguished(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text("[]")
    old = packed(tmp_path / "old")
    monkeypatch.setattr(docker, "saved", lambda _: old.open("rb"))
    with pytest.raises(SetupError, match="old form"):
        measure_images({"one": "sha256:1"}, Workspace(None))


def built(layouts: Path, *images: Made) -> dict[str, str]:
    """Have a build write layouts of these images, less what lies there; their ids by name."""
    ids = {}
    for image in images:
        name = image.name.rpartition("/")[2].partition(":")[0]
        lying = {path: path.read_bytes() for path in (layouts / "blobs" / "sha256").iterdir()}
        write(layouts / name, image)
        for path, content in lying.items():
            path.write_bytes(content)
        (entry,) = json.loads((layouts / name / "index.json").read_text())["manifests"]
        ids[name] = entry["digest"]
    return ids


def test_new_layers_are_read(engine: Engine, workspace: Workspace, measured: Measurement) -> None:
    layouts = prepare_layouts(["one", "two"], workspace)
    assert layouts
    new = tar({"c": b"x" * 1000})
    two = Made((LOWER, new), name="registry.example.com/toys/two:latest")
    ids = built(layouts, Made((LOWER, tar({"d": b"y"}))), two)
    found = {image.name: image.layers for image in measure_images(ids, workspace, layouts).images}
    lower = measured.images[0].layers[0]
    assert [layers[0] for layers in found.values()] == [lower, lower]
    assert (found["two"][1].uncompressed, found["two"][1].files) == (1000, 1)
    assert found["two"][1].compressed == len(stored(new, "zstd"))
    assert not layouts.exists()
    assert len(engine.saves) == 1


def test_engine_saves_images(engine: Engine, workspace: Workspace, measured: Measurement) -> None:
    layouts = prepare_layouts(["two"], workspace)
    two = Made((LOWER,), name="registry.example.com/toys/two:latest")
    measure_images({"two": engine.hold(two)["two"]}, workspace, layouts)
    assert len(engine.saves) == 2


def test_where_nothing_was_measured_there_is_no_layout(tmp_path: Path) -> None:
    assert prepare_layouts(["one"], Workspace(tmp_path)) is None
    assert prepare_layouts(["one"], Workspace(None)) is None


@pytest.mark.usefixtures("measured")
def test_without_a_writable_workspace_the_engine_saves_images(workspace: Workspace) -> None:
    workspace.path("layouts").write_text("a file in the place of the folder")
    assert prepare_layouts(["one"], workspace) is None


def test_leftovers_of_a_kill_are_no_layers(workspace: Workspace, measured: Measurement) -> None:
    first = prepare_layouts(["one"], workspace)
    assert first
    built(first, Made((tar({"x": b"y"}),)))
    second = prepare_layouts(["one"], workspace)
    assert second == first
    assert {path.name for path in (second / "blobs" / "sha256").iterdir()} == {
        layer.blob.removeprefix("sha256:") for layer in measured.images[0].layers
    }


@pytest.mark.parametrize(
    "text", ["", "[]", '{"sha256:0": 1}', '{"sha256:0": [{}]}', '{"sha256:0": [{"x": 1}]}']
)
def test_a_garbled_measurement_is_empty(text: str, workspace: Workspace, said: list[str]) -> None:
    workspace.path("").mkdir()
    workspace.path(f"{IMAGES}.json").write_text(text)
    assert last_measurement({"one": "sha256:0"}, workspace).images == ()
    assert said == [".slimbake/measured.json cannot be read, and is discarded"]
