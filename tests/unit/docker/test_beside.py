"""What Compose says of a repository's own compose file, as checks and `up` use it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.docker.conftest import Program

from slimbake.docker import beside as beside_module
from slimbake.docker.beside import (
    Neighbour,
    NotBeside,
    OwnServices,
    beside,
    own_services,
    variables_of,
)
from slimbake.errors import SetupError

DB: dict[str, Any] = {
    "image": "postgres:17",
    "container_name": "the-db",
    "depends_on": {"init": {"condition": "service_completed_successfully"}},
    "networks": {"back": None},
    "ports": [{"target": 5432, "published": "5432"}],
    "profiles": ["dev"],
    "restart": "always",
    "volumes": [
        {"type": "volume", "source": "data", "target": "/data"},
        {"type": "bind", "source": "/repo/conf", "target": "/conf"},
    ],
}
SAID: dict[str, Any] = {
    "services": {
        "db": DB,
        "init": {"build": {"context": "/repo/init"}, "depends_on": {"api_v2": {}}},
        "api_v2": {
            "build": {"context": "/repo/api"},
            "depends_on": {"db": {"condition": "service_healthy"}},
            "environment": {"DB": "db", "PRICE": "5 $$", "UNSET": None},
        },
        "mail": {"image": "mail:1"},
    },
    "volumes": {"data": {"name": "atlas_data"}, "other": {"name": "atlas_other"}},
    "networks": {"back": {}},
    "secrets": {"key": {"file": "/repo/key"}},
}
OWN = OwnServices(SAID)


def test_what_a_service_needs_is_followed_up_to_the_fleet() -> None:
    assert OWN.needed(["db"]) == ("api_v2", "db", "init")
    assert OWN.needed(["db"], {"api-v2"}) == ("db", "init")
    assert OWN.images(("db", "init", "mail")) == {"db": "postgres:17", "mail": "mail:1"}


def test_variables_and_conditions_are_those_of_the_service_of_that_name() -> None:
    assert OWN.variables("api-v2") == {"DB": "db", "PRICE": "5 $$"}
    assert OWN.variables("unknown") == {}
    assert OWN.awaits("api-v2", ("db", "mail")) == {
        "db": {"condition": "service_healthy"},
        "mail": {"condition": "service_started"},
    }


def test_alone_it_leaves_nothing_and_reaches_nothing() -> None:
    found = OWN.alone(["db"])
    assert found["networks"]["default"]["internal"]
    assert found["secrets"] == SAID["secrets"]
    (db,) = found["services"].values()
    assert db["volumes"] == [
        {"type": "volume", "target": "/data"},
        {**DB["volumes"][1], "read_only": True},
    ]
    assert not db.keys() & {"container_name", "ports", "restart", "networks", "profiles"}


def test_in_the_fleet_it_is_what_the_file_says_on_the_fleets_network() -> None:
    found = OWN.joined(("db",))
    assert found["volumes"] == {"data": {"name": "atlas_data"}}
    assert found["secrets"] == SAID["secrets"]
    left_out = ("depends_on", "networks", "profiles")
    assert found["services"] == {"db": {k: v for k, v in DB.items() if k not in left_out}}
    with_init = OWN.joined(("db", "init"))["services"]
    assert with_init["db"]["depends_on"] == DB["depends_on"]
    assert with_init["init"] == {"build": SAID["services"]["init"]["build"]}


def test_compose_is_asked_with_the_name_whose_volumes_it_names(program: Program) -> None:
    program.answer("compose version", "2.26.1")
    program.answer("compose --file", json.dumps(SAID))
    assert own_services(Path("/repo/compose.yaml"), "atlas") == OWN
    config = "--profile=* config --format=json"
    asked = f"compose --file=/repo/compose.yaml --project-name=atlas {config}"
    assert program.asked[-1] == asked


def test_a_required_variable_has_a_placeholder_in_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` of the fleet names it: there a placeholder would be taken for the value."""

    def call(*_: str, env: dict[str, str]) -> str:
        for name in ("JWT", "DSN"):
            if name not in env:
                words = "error while interpolating services.api.environment.X: required variable"
                raise SetupError("docker compose failed", f"{words} {name} is missing a value: set")
        return json.dumps(SAID)

    monkeypatch.setattr("slimbake.docker.beside.call", call)
    monkeypatch.setattr("slimbake.docker.beside.require_compose", lambda: None)
    assert own_services(Path("/repo/compose.yaml")) == OWN
    with pytest.raises(SetupError) as caught:
        own_services(Path("/repo/compose.yaml"), "atlas")
    assert caught.value.hint.endswith("set JWT in the shell or in `.env`")


def test_files_of_variables_are_read_by_compose(program: Program, tmp_path: Path) -> None:
    said = {"services": {"one": {"environment": {"A": "b c", "PRICE": "5 $$", "UNSET": None}}}}
    program.answer("compose --project-name=slimbake", json.dumps(said))
    found = variables_of([Path("/a$b/.env")], tmp_path)
    assert found == {"A": "b c", "PRICE": "5 $$"}
    written = json.loads((tmp_path / "variables.json").read_text())
    assert written["services"]["one"]["env_file"] == ["/a$$b/.env"]
    assert variables_of([], tmp_path) == {}


def test_variables_are_filled_in_from_the_dot_env(program: Program, tmp_path: Path) -> None:
    program.answer("compose", json.dumps({"services": {"one": {"environment": {"A": "1"}}}}))
    dotenv = tmp_path / ".env"
    dotenv.write_text("B=1\n")
    assert variables_of([], tmp_path, {"A": "${B}"}, dotenv) == {"A": "1"}
    written = json.loads((tmp_path / "variables.json").read_text())
    assert written["services"]["one"]["environment"] == {"A": "${B}"}
    assert any(f"--env-file={dotenv}" in words for words in program.asked)


def test_a_neighbour_of_the_fleet_has_the_names_and_variables_of_both_files() -> None:
    neighbour = Neighbour(
        host="api-v2",
        said={"image": "sha256:1", "environment": {"DB": "other", "TOKEN": "${TOKEN}"}},
        env_files=(Path("/repo/a$b.env"),),
        fixed={"PRICE": "6"},
        after=("db", "queue"),
    )
    found = OWN.neighbours((neighbour, Neighbour(host="queue", said={"image": "sha256:2"})))
    api = found["api_v2"]
    assert api["environment"] == {"TOKEN": "${TOKEN}", "DB": "db", "PRICE": "6"}
    assert api["env_file"] == [{"path": "/repo/a$$b.env", "required": False}]
    assert api["networks"]["default"]["aliases"] == ["api-v2"]
    assert api["depends_on"] == {
        "db": {"condition": "service_healthy"},
        "queue": {"condition": "service_started"},
    }
    assert found["queue"]["image"] == "sha256:2"


def test_a_check_beside_the_fleet_needs_no_compose_file(program: Program, tmp_path: Path) -> None:
    program.answer("compose")
    volume = {"type": "volume", "source": "weights-1", "target": "/weights", "read_only": True}
    said = {"image": "sha256:1", "volumes": [volume, {"type": "volume", "target": "/data"}]}
    written: dict[str, Any] = {}
    real = json.dumps

    def dumps(value: Any) -> str:
        written.update(value)
        return real(value)

    (tmp_path / ".env").write_text("A=1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slimbake.docker.beside.json.dumps", dumps)
        with beside("one", tmp_path, (), "web", fleet=[Neighbour(host="queue", said=said)]):
            pass
    assert written["services"]["queue"]["image"] == "sha256:1"
    assert written["volumes"] == {"weights-1": {"external": True}}
    assert f"--env-file={tmp_path / '.env'} up --detach --wait" in program.asked[0]


@pytest.mark.parametrize(
    ("words", "reason"),
    [("pulling\ndependency failed to start", "dependency failed to start"), ("", "")],
)
def test_what_does_not_start_beside_a_check_is_named_with_the_last_words(
    words: str, reason: str, program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "compose.json"
    project = ["compose", f"--file={path}"]
    program.answer(f"compose --file={path} up", stderr=words, code=1)
    program.answer(f"compose --file={path} logs", "db said\n")
    with pytest.raises(NotBeside) as caught:
        beside_module._start(project, ("db", "queue"))
    assert caught.value.message == "what its start check needs did not start: db, queue"
    assert caught.value.hint == f"{reason}\ndb said\n"


def test_a_compose_file_that_compose_cannot_read_fails_the_check(
    program: Program, tmp_path: Path
) -> None:
    """It is one service's check that fails: what was built, and the others' checks, stay."""
    (tmp_path / "compose.yaml").write_text("services: {web: {env_file: .env}}\n")
    program.answer("compose version", "2.26.1")
    program.answer("compose --file", stderr="env file /repo/.env not found", code=1)
    with pytest.raises(NotBeside) as caught, beside("one", tmp_path / "compose.yaml", (), "web"):
        pass
    assert caught.value.message == "compose.yaml: docker compose failed"
    assert "env file /repo/.env not found" in caught.value.hint
