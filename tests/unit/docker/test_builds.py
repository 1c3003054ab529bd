"""Dockerfiles without a context of their own: what buildx is given, and what its failures say."""

import json
from pathlib import Path

import pytest
from tests.unit.docker.conftest import Program

from slimbake import docker
from slimbake.errors import SetupError


def test_files_are_put_into_a_folder(program: Program) -> None:
    program.answer("buildx build")
    docker.build(
        "FROM x\n", {"x": "/x"}, "type=local,dest=out", arguments={"A": "b"}, labels={"c": "d"}
    )
    (line,) = program.asked
    assert "--output=type=local,dest=out" in line
    assert "--build-arg=A=b" in line and "--build-context=x=/x" in line
    assert "--label=c=d" in line and "--provenance=false" in line


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("#5 0.1 slimbake: no such package\n#6 ERROR\n", "0.1 slimbake: no such package"),
        ("#5 ERROR: boom\n", "the build failed\n#5 ERROR: boom"),
    ],
)
def test_a_failed_build_in_words(program: Program, tmp_path: Path, said: str, message: str) -> None:
    program.answer("buildx build", stderr=said, code=1)
    with pytest.raises(SetupError) as caught:
        docker.build("FROM x\n", {}, "type=cacheonly")
    assert caught.value.message == message


def test_a_bake_gives_events_and_keeps_what_is_none(program: Program, tmp_path: Path) -> None:
    event = json.dumps({"vertexes": [{"name": "}"}]}, indent=2)
    lines = f"#1 a word\n{event}\n{{}}\n{{\n broken\n}}\n{event} last words\nERROR: no\n"
    program.answer("buildx bake --progress=rawjson one", stderr=lines, code=1)
    bake = docker.Bake(["one"], tmp_path, {})
    assert [*bake.events()] == [json.loads(event), {}, json.loads(event)]
    assert bake.code == 1
    assert bake.text == "#1 a word\n{\n broken\n}\n last words\nERROR: no\n"
