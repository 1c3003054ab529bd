"""Volumes with the files of an image, by a `docker` that answers as it is taught."""

import pytest
from tests.unit.docker.conftest import Program

from slimbake.docker.volumes import image_volume, remove_volumes
from slimbake.errors import SetupError

ID = f"sha256:{'1' * 64}"
NAME = f"slimbake-{'1' * 24}"


@pytest.fixture
def engine(program: Program) -> Program:
    program.answer("image inspect", f'{{"Id": "{ID}"}}')
    program.answer("container ls", "")
    program.answer("volume ls", "")
    program.answer("volume create", NAME)
    program.answer("container create", "c1")
    program.answer("container rm", "c1")
    program.answer("volume rm", NAME)
    return program


def changes(engine: Program) -> list[str]:
    return [line for line in engine.asked if " ls " not in line and "inspect" not in line]


def test_a_volume_that_is_there_is_taken_as_it_is(engine: Program) -> None:
    engine.answer("volume ls", NAME)
    assert image_volume("mine/weights-model:latest", "mine") == NAME
    assert changes(engine) == []


def test_one_that_could_not_be_filled_does_not_stay(engine: Program) -> None:
    engine.answer("save", stderr="no space left", code=1)
    with pytest.raises(SetupError, match="could not save") as caught:
        image_volume("mine/weights-model:latest", "mine")
    assert caught.value.hint == "no space left"
    removed = ["container rm", "volume rm"]
    made = ["volume create", "container create", f"save {ID}"]
    found = [" ".join(line.split()[:2]) for line in changes(engine)]
    assert found == [*removed, *made, *removed]


def test_one_that_was_left_half_full_is_made_again(engine: Program) -> None:
    engine.answer("volume ls", NAME)
    engine.answer("container ls", "c1")
    engine.answer("save", stderr="stop here", code=1)
    with pytest.raises(SetupError):
        image_volume("mine/weights-model:latest", "mine")
    assert changes(engine)[:2] == [f"{kind} rm --force {NAME}" for kind in ("container", "volume")]


def test_prune_removes_those_of_a_project_that_no_container_has(engine: Program) -> None:
    engine.answer("volume ls", "slimbake-1\nslimbake-2\n")
    engine.answer("volume rm slimbake-2", stderr="volume is in use", code=1)
    assert remove_volumes("mine") == ["slimbake-1"]
