"""The fleet for Docker Compose: its file, and how it gets into one of the user's own."""

import contextlib
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tests.unit.fleets import planned, service

from slimbake import docker
from slimbake.checks.start import ALIVE
from slimbake.checks.surroundings import surroundings
from slimbake.config.model import BuildStep, StartCheck, VariantEntry
from slimbake.console import Console
from slimbake.deploy import compose
from slimbake.docker.compose import ComposeProject, ContainerState
from slimbake.errors import CheckError, SetupError, SlimbakeError, UsageError
from slimbake.render.compose import compose as text

SERVICES = (
    service(
        "api",
        port=8000,
        user="1000:0",
        volumes=(("data", "/da$ta"),),
        tmpfs=("/cache",),
        cap_add=("CHOWN", "SETUID"),
        variants=(VariantEntry("cpu"), VariantEntry("gpu")),
    ),
    service("web", port=8000),
    service("steps", build=(BuildStep(run=("make",)),)),
    service("worker", command=("python", "-m", "worker")),
    service("tool", entrypoint=("python", "-m", "tool"), start=StartCheck(how="none")),
)
PLAN = planned(*SERVICES)
WRITTEN: dict[str, Any] = yaml.safe_load(b"".join(text(PLAN)))["services"]


@pytest.mark.parametrize("running", PLAN.services, ids=lambda each: each.service)
def test_a_container_of_compose_has_what_checks_have(running: Any) -> None:
    said = WRITTEN[running.service]
    options = [
        *(("--read-only",) if said.get("read_only") else ()),
        *(f"--cap-drop={each}" for each in said["cap_drop"]),
        *(f"--security-opt={each.removesuffix(':true')}" for each in said["security_opt"]),
        *(f"--cap-add={each}" for each in said.get("cap_add", ())),
        f"--user={said['user']}",
        *(f"--tmpfs={each}" for each in said["tmpfs"]),
        *(f"--volume={each.replace('$$', '$')}" for each in said.get("volumes", ())),
    ]
    assert options == list(surroundings(running, {name: name for name, _ in running.volumes}))


def test_a_container_gets_the_files_of_variables_that_its_service_names_alone() -> None:
    named = planned(service("api", env_file=(".env", "a$b.env")), service("web"))
    found = yaml.safe_load(b"".join(text(named)))["services"]
    beside = {"path": "../.env", "required": False}
    assert found["api"]["env_file"] == [beside, {"path": "../a$$b.env"}]
    assert "env_file" not in found["web"]


def test_what_compose_fills_in_is_written_as_it_is_and_wins_over_the_image() -> None:
    said = {"URL": "db://${HOST}/$$", "MODE": "${MODE:-a}"}
    own = service(
        "api", dockerfile="Dockerfile", env=(("MODE", "$x"),), environment=(*said.items(),)
    )
    found = yaml.safe_load(b"".join(text(planned(own))))["services"]
    assert found["api"]["environment"] == said


def test_compose_fills_in_from_the_dot_env_beside_the_manifest_and_ends_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "require_compose", lambda: None)
    monkeypatch.setattr(ComposeProject, "elsewhere", "")
    monkeypatch.setattr(ComposeProject, "data_elsewhere", ("", ""))
    values = (("X", "${A:?is needed}"), ("Y", "${B}/${A}"))
    project: Any = SimpleNamespace(root=tmp_path, plan=planned(service("api", environment=values)))
    with compose.started(project) as together:
        [placeholders] = together.env_files
        assert placeholders.read_text() == "A=-\nB=-\n"
    (tmp_path / ".env").write_text("A=1\n")
    with compose.started(project) as together:
        assert together.env_files[1:] == (tmp_path / ".env",), "it wins"
    project.plan = planned(service("api"))
    assert compose._written_project(project).env_files == ()


def test_variants_and_tools_start_only_where_they_are_named() -> None:
    profiles = {name: said["profiles"] for name, said in WRITTEN.items() if "profiles" in said}
    assert profiles == {"api-gpu": ["gpu"], "tool": ["tools"]}
    assert WRITTEN["api-gpu"]["networks"] == {"default": {"aliases": ["api"]}}, "it stands in"
    assert WRITTEN["api-gpu"]["image"].endswith("/api:${TAG:-latest}-gpu")


def test_what_says_so_is_started_by_hand_as_tools_are() -> None:
    worker = next(each for each in PLAN.services if each.service == "worker")
    byhand = replace(worker, up=False)
    those = replace(PLAN, services=tuple(byhand if e is worker else e for e in PLAN.services))
    written = yaml.safe_load(b"".join(text(those)))["services"]
    assert written["worker"]["profiles"] == ["tools"]
    assert "worker" not in {each.service for each in those.starting(["worker", "web"])}


def test_an_entrypoint_that_a_bake_starts_alone_is_started_by_up_too() -> None:
    bot = service("bot", entrypoint=("python", "bot.py"))
    assert [each.service for each in planned(bot).starting(["bot"])] == ["bot"]


def test_the_host_s_port_of_what_has_another_s_is_docker_s_to_choose() -> None:
    assert WRITTEN["api"]["ports"] == WRITTEN["api-gpu"]["ports"] == ["127.0.0.1:8000:8000"]
    assert WRITTEN["web"]["ports"] == ["127.0.0.1::8000"]


def test_variables_are_given_or_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "here")
    given = compose.variables(("A=b=c", "HERE", "EMPTY="))
    assert given == {"A": "b=c", "HERE": "here", "EMPTY": ""}
    with pytest.raises(UsageError, match="--env GONE: there is no such variable here"):
        compose.variables(("GONE",))


def joined(root: Path, own: str = "", name: str = "compose.yaml") -> str:
    if own:
        (root / name).write_text(own)
    return "\n".join(compose.joining(SimpleNamespace(root=root, plan=PLAN)))  # type: ignore[arg-type]


def test_a_compose_file_without_these_services_includes_them(tmp_path: Path) -> None:
    included = "in compose.yaml:\n\ninclude: [bake/compose.yaml]"
    assert joined(tmp_path) == included
    assert joined(tmp_path, "services: {db: {image: postgres}}") == included


def test_a_compose_file_with_some_of_the_services_extends_them(tmp_path: Path) -> None:
    own = """\
x-all: &all {image: "old/api", environment: {A: b}}
services: {db: {image: postgres}, api: {<<: *all, build: ., ports: ["80:80"], restart: always}}
"""
    assert joined(tmp_path, own, "docker-compose.yml").splitlines() == [
        "in docker-compose.yml:",
        "",
        "include: [bake/compose.yaml]",
        "",
        "and without your own api; or keep them, and in place of `include`, below each",
        "service: extends: {file: bake/compose.yaml, service: api}",
        "without those of its keys that slimbake's file has: build, image, command, entrypoint,",
        "healthcheck, ports, user, working_dir, security_opt.",
    ]


class Together:
    """A fleet whose containers go through these states, one after the other."""

    def __init__(self, *looks: dict[str, ContainerState]) -> None:
        self.looks = list(looks)

    def states(self) -> dict[str, ContainerState]:
        return self.looks.pop(0)

    def last_words(self, service: str, lines: int) -> str:
        return f"{service} said"


def state(code: int | None = None, health: str = "", check: str = "") -> ContainerState:
    return ContainerState("x", code, health, None, check=check)


@pytest.fixture
def awaited(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `up` waits for, on a clock of its own."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(time, "sleep", lambda s: setattr(clock, "now", clock.now + s))

    def wait(
        *looks: dict[str, ContainerState], beside: tuple[str, ...] = ()
    ) -> tuple[dict[str, ContainerState], float]:
        together: Any = Together(*looks)
        return compose._awaited(together, ("api", "job"), beside, Console()), clock.now

    return wait


def test_up_waits_for_health_and_for_the_end_of_what_ends(awaited: Any) -> None:
    starting = {"api": state(health="starting"), "job": state(0)}
    well = {"api": state(health="healthy"), "job": state(0)}
    done = {"api": state(0), "job": state(0)}
    assert awaited(starting, done) == (done, compose.EVERY), "what has ended is not watched"
    _, seconds = awaited(starting, starting, *[well] * 50)
    assert seconds == 3 * compose.EVERY + ALIVE


def test_a_failing_health_check_is_reported(
    awaited: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = {"api": state(health="starting", check="Traceback\nrefused"), "job": state(0)}
    slow = {**failing, "api": state(health="starting")}
    well = {**failing, "api": state(health="healthy")}
    looks = int(compose.PATIENCE / compose.EVERY)
    awaited(*[failing] * looks, *[well] * 50)
    awaited(*[slow] * looks * 2, *[well] * 50)
    assert capsys.readouterr().err == ""
    awaited(*[failing] * looks * 2, *[well] * 50)
    assert capsys.readouterr().err == "api is not healthy yet: its health check says: refused\n"


WELL, ENDED = state(health="healthy"), state(0)
ILL = (
    "api is unhealthy: its health check says\nrefused\nand the service\napi said\n"
    "job ended with exit code 2\njob said"
)


@pytest.mark.parametrize(
    ("looks", "message", "hint"),
    [
        (
            [{"api": WELL, "job": ENDED}] * 3 + [{"api": state(3), "job": ENDED}],
            "api ended with exit code 3\napi said",
            "`slimbake logs api`: ",
        ),
        (
            [{"api": WELL, "job": state()}, {"api": WELL, "job": state(1)}],
            "job ended with exit code 1\njob said",
            "`slimbake logs job`: ",
        ),
        (
            [{"api": state(health="unhealthy", check="refused"), "job": state(2)}],
            ILL,
            "`slimbake logs api`, `slimbake logs job`: ",
        ),
        (
            [{"api": state(), "job": state(), "db": state(1)}],
            "db ended with exit code 1\ndb said",
            "`docker logs x`: ",
        ),
        (
            [{"api": WELL, "job": ENDED}, {"api": WELL}],
            "the container of job was removed while slimbake waited for it",
            "`slimbake up` starts it again",
        ),
    ],
    ids=["after it was healthy", "without health", "all that are ill", "beside them", "removed"],
)
def test_what_dies_is_named_with_its_last_words(
    awaited: Any, looks: list[dict[str, ContainerState]], message: str, hint: str
) -> None:
    with pytest.raises(CheckError) as caught:
        awaited(*looks, beside=tuple({"db"} & looks[-1].keys()))
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_what_has_no_health_has_to_live_for_a_while(awaited: Any) -> None:
    _, seconds = awaited(*[{"api": WELL, "job": state()}] * 50)
    assert seconds == ALIVE


class Starting:
    """A fleet that Compose cannot start."""

    def __init__(self, **states: ContainerState) -> None:
        self.after = states

    def states(self) -> dict[str, ContainerState]:
        return self.after

    def up(self, services: object) -> None:
        raise SetupError("docker compose failed", "its words")

    def last_words(self, service: str, lines: int) -> str:
        return f"{service} said"


def not_started(monkeypatch: pytest.MonkeyPatch, **states: ContainerState) -> SlimbakeError:
    monkeypatch.setattr(docker, "publishing", lambda port: f"the user of {port}")
    together: Any = Starting(**states)
    with pytest.raises(SlimbakeError) as caught:
        compose._start(together, ("api", "migrate"))
    return caught.value


def broken(error: str) -> ContainerState:
    return ContainerState("x", 128, "", None, error)


def test_ports_that_are_taken_are_named_with_their_user(monkeypatch: pytest.MonkeyPatch) -> None:
    error = not_started(
        monkeypatch,
        api=broken("Bind for 127.0.0.1:80 failed: already"),
        db=broken("Bind for 127.0.0.1:5432 failed: already"),
    )
    assert isinstance(error, SetupError)
    assert error.message.splitlines() == [
        "api: port 80 of this machine is in use by the user of 80",
        "db: port 5432 of this machine is in use by the user of 5432",
    ]
    assert error.hint.splitlines() == [
        "end that, or give api another port: `publish:` in the manifest",
        "end that, or give db another port: `ports:` in your own compose file",
        "`slimbake down` removes what was started",
    ]


def test_what_compose_cannot_start_is_no_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    error = not_started(monkeypatch, web=state(), job=state(137), api=broken("no such program"))
    assert isinstance(error, SetupError)
    assert (error.message, error.hint.splitlines()) == (
        "docker compose failed",
        ["its words", "`slimbake down` removes what was started"],
    )


def test_what_others_wait_for_and_dies_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    error = not_started(monkeypatch, migrate=state(3), api=state(0))
    assert isinstance(error, CheckError)
    assert error.message == "migrate ended with exit code 3\nmigrate said"


# --- what depends on what

WAITS_FOR = {
    "migrate": "service_completed_successfully",
    "api": "service_healthy",
    "cache": "service_started",
}
ORDERED = planned(
    service("web", port=80, depends_on=(*WAITS_FOR.items(),)),
    service("migrate", depends_on=(("cache", "service_started"),)),
    service("api", port=8000, variants=(VariantEntry("cpu"), VariantEntry("gpu"))),
    service("cache"),
)


def test_a_service_of_the_file_waits_for_every_variant_whose_profile_is_active() -> None:
    written = yaml.safe_load(b"".join(text(ORDERED)))["services"]
    assert written["web"]["depends_on"] == {
        **{name: {"condition": how} for name, how in WAITS_FOR.items()},
        "api-gpu": {"condition": "service_healthy", "required": False},
    }
    assert "depends_on" not in written["api"]


def test_running_services_are_restarted_and_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[object] = []
    restarting = contextlib.nullcontext(SimpleNamespace(restart=did.append))
    monkeypatch.setattr(compose, "started", lambda *_, **__: restarting)
    monkeypatch.setattr(compose, "_awaited", lambda *_, settle: did.append(settle))
    project: Any = SimpleNamespace(plan=ORDERED)
    compose.restart(project, ("web", "cache"), Console(did.append))
    said = "synced and restarted: web, cache"
    assert did == [["web", "cache"], said, compose.SETTLED]


def test_code_that_the_engine_does_not_see_is_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "My Repo/.slimbake/synced/api"
    folder.mkdir(parents=True)
    monkeypatch.setattr("slimbake.docker.sees", lambda *_: False)
    expect = partial(compose._expect_shared, tmp_path, {"api": folder}, {"api": "id"})
    expect()  # nothing is in it
    (folder / "app.py").touch()
    with pytest.raises(SetupError, match="the engine does not see") as refused:
        expect()
    assert f'`colima start --mount "{tmp_path}:w"`' in refused.value.hint
    monkeypatch.setattr("slimbake.docker.sees", lambda *_: True)
    expect()
