"""Docker Compose, as it is asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.docker.conftest import Program

from slimbake.docker.compose import ComposeProject, ContainerState, require_compose
from slimbake.errors import SetupError

FLEET = ComposeProject("atlas", (Path("/bake/compose.yaml"), Path("/on-top.yaml")))
COMPOSE = "compose --file /bake/compose.yaml --file /on-top.yaml --profile * --project-name atlas"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("2.25.0", "Docker Compose 2.25 is too old: 2.26 is the oldest that serves"),
        ("1.29.2", "Docker Compose 1.29 is too old: 2.26 is the oldest that serves"),
        ("", "Docker Compose is not installed: 2.26 is the oldest that serves"),
    ],
)
def test_a_compose_that_is_too_old_is_named(program: Program, version: str, message: str) -> None:
    program.answer("compose version", f"{version}\n", code=0 if version else 1)
    with pytest.raises(SetupError) as caught:
        require_compose()
    assert caught.value.message == message
    assert "install Docker Compose" in caught.value.hint


def test_a_start_warns_of_none(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPOSE_IGNORE_ORPHANS", raising=False)
    seen = tmp_path / "seen"
    (tmp_path / "bin/docker").write_text(f"#!/bin/sh\necho $COMPOSE_IGNORE_ORPHANS >{seen}\n")
    FLEET.run("api", ())
    assert seen.read_text() == "true\n"


def test_no_services_are_not_all_services(program: Program) -> None:
    FLEET.up([])
    FLEET.restart([])
    assert program.asked == []


@pytest.mark.parametrize("version", ["2.26.1-4", "v2.26.0", "5.0.1"])
def test_a_compose_that_serves_is_taken(program: Program, version: str) -> None:
    program.answer("compose version", version)
    require_compose()


def test_what_is_up_is_known_by_its_service(program: Program) -> None:
    def container(number: int, service: str, state: dict[str, Any], ports: Any) -> str:
        health = {"Test": ["CMD", "ask", service]}
        config = {"Labels": {"com.docker.compose.service": service}, "Healthcheck": health}
        found = {"Id": str(number), "Name": f"/atlas-{service}-1", "Config": config}
        return json.dumps([{**found, "State": state, "NetworkSettings": {"Ports": ports}}])

    looks = [{"ExitCode": 1, "Output": "refused\n"}, {"ExitCode": 0, "Output": "ok\n"}]

    def health(status: str, *looks: dict[str, Any]) -> dict[str, Any]:
        return {"Running": True, "ExitCode": 0, "Health": {"Status": status, "Log": looks}}

    published = {"9090/tcp": None, "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}
    program.answer(f"{COMPOSE} ps --quiet --all", "1\n2\n3\n")
    program.answer("container inspect 1", container(1, "api", health("healthy", *looks), published))
    program.answer("container inspect 3", container(3, "web", health("starting", *looks[::-1]), {}))
    ended = {"Running": False, "ExitCode": 3, "Error": "no such program"}
    program.answer("container inspect 2", container(2, "job", ended, {}))
    assert FLEET.states() == {
        "api": ContainerState("atlas-api-1", None, "healthy", 8000),
        "web": ContainerState("atlas-web-1", None, "starting", None, check="refused"),
        "job": ContainerState("atlas-job-1", 3, "", None, "no such program"),
    }


@pytest.mark.parametrize(
    ("error", "port"),
    [
        ("", ""),
        ("no such file or directory: 10:20", ""),
        ("Bind for 127.0.0.1:8000 failed: port is already allocated", "8000"),
        ("listen tcp4 0.0.0.0:80: bind: address already in use", "80"),
        ("failed to bind host port [::]:80/tcp: address already in use", "80"),
        ("failed to bind host port for 127.0.0.1:8:172.18.0.2:9/tcp: address already in use", "8"),
    ],
)
def test_a_port_that_is_taken_is_read_from_what_the_engine_says(error: str, port: str) -> None:
    assert ContainerState("x", 128, "", None, error).taken == port


def test_containers_of_another_project_of_the_name_are_found(program: Program) -> None:
    listed = "container ls --all --filter=label=com.docker.compose.project=atlas"
    program.answer(listed, "/bake\n/bake\n")
    assert FLEET.elsewhere == ""
    program.answer(listed, "/bake\n/\n")
    assert FLEET.elsewhere == "", "somebody's own `docker compose` in the repository"
    program.answer(listed, "/bake\n/home/me/other\n")
    assert FLEET.elsewhere == "/home/me/other"
    assert program.asked[-1].endswith('{{.Label "com.docker.compose.project.working_dir"}}')


def test_data_of_another_folder_of_the_name_is_found(program: Program, tmp_path: Path) -> None:
    listed = "volume ls --filter=label=com.docker.compose.project=atlas"
    program.answer(listed, "atlas_old\t\natlas_data\t/bake\natlas_cache\t/gone\n")
    assert FLEET.data_elsewhere == ("", "")
    program.answer(listed, f"atlas_data\t/bake\natlas_cache\t{tmp_path}\n")
    assert FLEET.data_elsewhere == ("atlas_cache", str(tmp_path))


def test_volumes_say_whose_they_are_and_are_composes_own(program: Program) -> None:
    program.answer("volume create", "atlas_data\n")
    program.answer("volume inspect", json.dumps([{"Name": "atlas_data"}]))
    FLEET.make_volumes(["data"])
    asked = program.asked[0]
    labels = ("com.docker.compose.project=atlas", "com.docker.compose.volume=data")
    for label in (*labels, "slimbake.folder=/bake"):
        assert f"--label {label}" in asked
    assert asked.endswith(" atlas_data")


def test_services_start_and_are_removed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.answer(COMPOSE)
    program.answer("volume ls", "atlas_data\n")
    program.answer("volume rm", "atlas_data\n")
    ends = {"api": (None, 137), "job": (137, 137), "web": (None, 0)}  # before it is stopped, after
    looks = iter(
        {name: ContainerState(name, codes[at], "", None) for name, codes in ends.items()}
        for at in (0, 1)
    )
    monkeypatch.setattr(ComposeProject, "states", lambda _: next(looks))
    FLEET.up(["api", "job"])
    assert FLEET.down(volumes=True) == ["api"], "what its stop signal did not end"
    labels = ("com.docker.compose.project=atlas", "slimbake.folder=/bake")
    assert program.asked == [
        f"{COMPOSE} up --detach api job",
        f"{COMPOSE} stop",
        f"{COMPOSE} down --remove-orphans --volumes",
        "volume ls --quiet " + " ".join(f"--filter=label={label}" for label in labels),
        "volume rm atlas_data",
    ]


def test_arguments_and_exit_codes_of_a_run_pass_through(program: Program) -> None:
    program.answer(COMPOSE, code=3)
    assert FLEET.run("client", ["search", "--json"]) == 3
    (asked,) = program.asked
    assert asked == f"{COMPOSE} --progress=quiet run --rm --no-TTY client search --json"


def test_logs_have_no_foreign_escapes(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    program.answer(COMPOSE, "\x1b[2Kapi-1  | \x1b[31mred\x1b[0m\n\x1b[2Kapi-1  | up\n")
    assert FLEET.logs(["api"], follow=False) == 0
    assert capsys.readouterr().out == "api-1  | \x1b[31mred\x1b[0m\napi-1  | up\n"
    assert program.asked[-1] == f"{COMPOSE} logs --no-color api"


def test_the_exit_code_of_logs_that_are_followed_is_that_of_compose(program: Program) -> None:
    program.answer(COMPOSE, code=3)
    assert FLEET.logs(["api"], follow=True) == 3
    assert program.asked == [f"{COMPOSE} logs --follow api"]


def test_last_words_are_text(program: Program) -> None:
    program.answer(COMPOSE, "\x1b[2Kfirst\n\x1b[2Kno DATABASE\n")
    assert FLEET.last_words("api", 2) == "first\nno DATABASE"
