"""Dockerfiles without a context of their own: what buildx is given, and what its failures say."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.docker.conftest import Program

from slimbake import docker
from slimbake.errors import SetupError


def test_files_are_put_into_a_folder(program: Program, tmp_path: Path) -> None:
    program.answer("buildx build")
    docker.build_files("FROM x\n", {"x": "/x"}, {"A": "b"}, tmp_path / "out", "linux/arm64")
    (line,) = program.asked
    assert f"--output type=local,dest={tmp_path / 'out'}" in line
    assert "--build-arg A=b" in line and "--build-context x=/x" in line
    assert "--platform linux/arm64" in line and "--provenance=false" in line


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("#5 0.1 slimbake: no such package\n#6 ERROR\n", "0.1 slimbake: no such package"),
        ("#5 ERROR: boom\n", "the build failed\n#5 ERROR: boom"),
    ],
)
def test_a_build_that_fails_says_our_words_or_else_its_own(
    program: Program, tmp_path: Path, said: str, message: str
) -> None:
    program.answer("buildx build", stderr=said, code=1)
    with pytest.raises(SetupError) as caught:
        docker.build_files("FROM x\n", {}, {}, tmp_path)
    assert caught.value.message == message


def test_an_image_is_built_for_the_engine_or_for_several_platforms(program: Program) -> None:
    program.answer("buildx build")
    docker.build_image("FROM x\n", "a:1", {"x": "/x"}, labels={"b": "c"})
    docker.build_image("FROM x\n", "a:1", {}, platforms=("linux/arm64", "linux/amd64"))
    one, both = program.asked
    assert "--output type=image,name=a:1,compression=uncompressed" in one
    assert "--label b=c" in one and "--platform" not in one
    assert "--platform linux/amd64,linux/arm64" in both
