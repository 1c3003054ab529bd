"""Containers of a fleet: started, looked at and removed."""

from __future__ import annotations

import json

import pytest
from tests.unit.docker.conftest import Program

from slimbake import docker
from slimbake.errors import SetupError


def state(running: bool, code: int) -> str:
    return json.dumps(
        [{"Id": "1", "Name": "/api", "State": {"Running": running, "ExitCode": code}}]
    )


def test_a_container_is_started_with_the_words_of_docker_run(program: Program) -> None:
    program.answer("run --detach")
    docker.start_container("api", "--read-only", "image")
    assert program.asked == ["run --detach --name=api --read-only image"]


def test_a_container_that_does_not_start_is_not_left_behind(program: Program) -> None:
    program.answer("run --detach", stderr="port is already allocated", code=125)
    program.answer("container rm")
    with pytest.raises(SetupError, match="docker run failed") as caught:
        docker.start_container("api", "image")
    assert caught.value.hint == "port is already allocated"
    assert program.asked[-1] == "container rm --force api"


def test_removing_what_is_not_there_is_no_error(program: Program) -> None:
    program.answer("container rm", stderr="No such container: api", code=1)
    docker.remove_container("api")


@pytest.mark.parametrize(("running", "code"), [(True, None), (False, 3)])
def test_a_container_that_runs_has_no_exit_code(
    program: Program, running: bool, code: int | None
) -> None:
    program.answer("container inspect", state(running, 3))
    assert docker.exit_code("api") == code


def test_what_a_container_writes_is_given(program: Program) -> None:
    program.answer("run --rm --interactive", "said\n")
    assert docker.container_output("--network=none", "image", stdin="x") == "said\n"
    assert program.asked == ["run --rm --interactive --network=none image"]


def test_a_network_and_a_volume_that_are_there_stay(program: Program) -> None:
    program.answer("network inspect", '[{"Id": "1"}]')
    program.answer("volume inspect", '[{"Name": "1"}]')
    assert docker.fleet_network("atlas") == "atlas"
    assert docker.fleet_volume("atlas", "data") == "atlas-data"
    assert not [line for line in program.asked if "create" in line]


def test_a_network_and_a_volume_that_are_missing_are_made_with_the_fleet_s_label(
    program: Program,
) -> None:
    program.answer("network inspect", stderr="network atlas not found", code=1)
    program.answer("volume inspect", '[{"Name": "atlas-data"}]')
    program.answer("volume inspect atlas", stderr="get atlas-data: no such volume", code=1)
    program.answer("network create", "1")
    program.answer("volume create", "1")
    docker.fleet_network("atlas")
    docker.fleet_volume("atlas", "data")
    made = [line for line in program.asked if "create" in line]
    assert all("--label slimbake.fleet=atlas" in line for line in made)
    assert [line.split()[-1] for line in made] == ["atlas", "atlas-data"]


@pytest.mark.parametrize("volumes", [True, False])
def test_a_fleet_is_removed_by_its_label(program: Program, volumes: bool) -> None:
    program.answer("container list", "1")
    program.answer("container inspect", state(True, 0))
    program.answer("network ls", "2")
    program.answer("network inspect", '[{"Id": "2", "Name": "atlas"}]')
    program.answer("volume list", "atlas-data")
    program.answer("volume inspect", '[{"Name": "atlas-data"}]')
    for remove in ("container rm", "network remove", "volume remove"):
        program.answer(remove)
    gone = ("api", "atlas", "atlas-data")
    assert docker.remove_fleet("atlas", volumes) == (gone if volumes else gone[:2])
    lists = [line for line in program.asked if " list" in line or " ls" in line]
    assert all("label=slimbake.fleet=atlas" in line for line in lists)
