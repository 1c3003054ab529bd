"""What real images weigh, wherever they lie, what they must not carry, and in which file two of
them differ.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Toy, docker, slimbake
from tests.engine.toys import write

ML = {"embedding", "nlg", "hybrid"}


@pytest.fixture(scope="module")
def measured(baked: dict[str, Any]) -> dict[str, Any]:
    """The eight services in all detail."""
    done = slimbake("sizes", "--json")
    assert done.code == 0, done.stderr
    return dict(done.json())


def test_the_survey_weighs_what_the_bake_weighed(
    baked: dict[str, Any], measured: dict[str, Any]
) -> None:
    kept = ("digest", "uncompressed", "compressed", "shared_uncompressed")
    assert {name: [image[key] for key in kept] for name, image in measured["images"].items()} == {
        name: [image[key] for key in kept] for name, image in baked.items()
    }


def test_the_bytes_of_packages_are_those_of_the_distinct_layers(measured: dict[str, Any]) -> None:
    layers = sum(row["uncompressed"] for row in measured["layers"])
    rows = measured["packages"]
    assert sum(row["uncompressed"] for row in rows) == layers
    assert sum(row["on_host"] for row in rows) == measured["unique_on_host"]
    packages = {row["name"]: row for row in measured["packages"]}
    assert packages["torch"]["uncompressed"] > 400_000_000
    assert set(packages["torch"]["images"]) == ML
    assert {row["kind"] for row in measured["packages"]} == {
        "python",
        "debian",
        "weights",
        "code",
        "archive",
        "directory",
    }
    stray = [row for row in measured["packages"] if row["kind"] == "directory"]
    assert sum(row["uncompressed"] for row in stray) < 1_000_000, "nearly every file is somebody's"


@pytest.mark.slow
def test_sizes_records_what_it_measured(toy: Toy) -> None:
    write(toy, "one")
    toy.done("bake", "--tag", "first")
    recorded = toy.slimbake("sizes", "--json", "--record", "--tag", "first")
    assert (toy.root / "bake/sizes.json").read_text() == recorded.stdout, recorded.stderr
    (image,) = recorded.json()["images"].values()
    assert image["compressed"] > 0


@pytest.mark.parametrize("type_", ["gzip", "zstd"])
@pytest.mark.slow
def test_layers_are_compressed_as_the_manifest_says_also_those_that_were_compressed_otherwise(
    toy: Toy, type_: str
) -> None:
    write(toy, "one")
    (default,) = toy.done("bake", "--json").json()["images"].values()
    toy.edit("project:", f"compression: {{type: {type_}, level: 1}}\nproject:")
    (found,) = toy.done("bake", "--json").json()["images"].values()
    layers = saved_manifest(found["digest"], toy.root)["layers"]
    assert {layer["mediaType"].rpartition("+")[2] for layer in layers} == {type_}
    assert [layer["diff"] for layer in found["layers"]] == [
        layer["diff"] for layer in default["layers"]
    ]
    assert (found["digest"] == default["digest"]) == (type_ == "zstd")


def saved_manifest(digest: str, folder: Path) -> dict[str, Any]:
    """An image's manifest, as the engine saves it."""
    docker("save", "--output", str(folder / "saved.tar"), digest)
    with tarfile.open(folder / "saved.tar") as archive:
        content = archive.extractfile(f"blobs/{digest.replace(':', '/')}")
        assert content
        return dict(json.load(content))
