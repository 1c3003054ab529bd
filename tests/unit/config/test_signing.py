"""GitHub attests to each image in a job of its own, and a matrix holds 256."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimbake.config import manifest
from slimbake.errors import ManifestError

HEAD = """\
project: atlas
registry: ghcr.io/someone/atlas
python: "3.11"
platforms: [%s]
ci: {sign: %s}
services:
"""
TWO = "linux/amd64, linux/arm64"


def read(folder: Path, platforms: str, sign: str, number: int) -> None:
    (folder / "api").mkdir(exist_ok=True)
    services = "".join(f"  api-{each}: {{context: api}}\n" for each in range(number))
    (folder / "services.yaml").write_text(HEAD % (platforms, sign) + services)
    manifest(folder / "services.yaml")


@pytest.mark.parametrize(("platforms", "most"), [("linux/amd64", 256), (TWO, 85)])
def test_no_more_images_are_attested_than_a_matrix_holds(
    tmp_path: Path, platforms: str, most: int
) -> None:
    read(tmp_path, platforms, "github", most)
    read(tmp_path, platforms, "cosign", most + 1)
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, platforms, "github", most + 1)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (5, "ci.sign")
    assert "a matrix of GitHub holds 256" in problem.message
    assert "sign: cosign" in problem.hint
