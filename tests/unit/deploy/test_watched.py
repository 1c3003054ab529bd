"""What `up --watch` does with an edit: a sync, or a bake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.fleets import fleet, service, unlocked

from slimbake.build.edit import Edits
from slimbake.build.place import BakeRequest
from slimbake.build.session import Session
from slimbake.console import Console
from slimbake.deploy import watched
from slimbake.deploy.watched import Watched
from slimbake.errors import CheckError, SetupError
from slimbake.host.workspace import Workspace
from slimbake.project import Project


@dataclass
class Played:
    """Sources as they are now, and what was done with containers."""

    project: Project
    below: dict[str, str]
    code: dict[str, str]  # service -> the content of its only file; "link" = it is one
    done: list[tuple[str, Any]] = field(default_factory=list)
    refused: tuple[str, ...] = ()  # by their checks

    def edits(self, *_: object) -> Edits:
        parts = {name: ((f"{text}.py", f"{text} 1"),) for name, text in self.code.items()}
        return Edits(self.below, parts, "")

    def release(self, _: Project, request: BakeRequest, *__: object) -> Any:
        self.done.append(("bake", request.targets))
        good = {name: name for name in request.targets if name not in self.refused}

        def expect_all() -> None:
            if len(good) < len(request.targets):
                raise CheckError("a smoke failed")

        return SimpleNamespace(names=good, expect_all=expect_all)

    def up(self, _: Project, services: tuple[str, ...], *given: Any) -> None:
        self.done.append(("up", (services, tuple(given[3]) if len(given) > 3 else ())))

    def build(self, made: Watched, *services: str) -> list[tuple[str, Any]]:
        self.done.clear()
        made.build(self.project, services)
        return self.done


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    made_of = fleet(service("web"), service("job"), file=tmp_path / "services.yaml")
    project = replace(unlocked(made_of), workspace=Workspace(tmp_path))
    made = Played(project, {"web": "1", "job": "1"}, {"web": "file", "job": "link"})

    @contextlib.contextmanager
    def hold(*_: object) -> Iterator[None]:
        yield

    for name, value in {
        "hold": hold,
        "reread": lambda project: project,
        "image_accounts": lambda _: (),
        "edits": made.edits,
        "release": made.release,
        "copy_code": lambda _, code, __: made.done.append(("copy", code)),
    }.items():
        monkeypatch.setattr(watched, name, value)
    monkeypatch.setattr("slimbake.deploy.compose.up", made.up)
    monkeypatch.setattr(
        "slimbake.deploy.compose.restart", lambda _, names: made.done.append(("restart", names))
    )
    return made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def containers(said: list[str]) -> Watched:
    request = BakeRequest(targets=(), registry="r")
    return Watched(request, lambda _: {}, {}, Console(said.append), Session())


def test_what_has_no_links_mounts_its_code(played: Played, containers: Watched) -> None:
    assert [name for name, _ in played.build(containers, "web", "job")] == ["bake", "copy", "up"]
    assert played.done[-1] == ("up", (("web", "job"), ("web",)))


def test_an_edit_of_code_alone_is_copied_and_all_else_is_baked(
    played: Played, containers: Watched
) -> None:
    played.build(containers, "web", "job")
    played.code["web"] = "program"
    assert played.build(containers, "web") == [
        ("copy", (("program.py", "program 1"),)),
        ("restart", ("web",)),
    ]
    assert played.build(containers, "web")[0] == ("bake", ("web",)), "a smoke, or the manifest"
    played.below["web"], played.code["web"] = "2", "file"
    assert played.build(containers, "web")[0] == ("bake", ("web",))
    assert played.build(containers, "job")[0] == ("bake", ("job",))


def test_what_its_checks_refuse_is_not_started(played: Played, containers: Watched) -> None:
    played.refused = ("web",)
    with pytest.raises(CheckError):
        played.build(containers, "web", "job")
    assert played.done[-1] == ("up", (("job",), ()))


def test_in_the_end_containers_run_their_images(played: Played, containers: Watched) -> None:
    played.build(containers, "web", "job")
    played.code["web"] = "program"
    played.build(containers, "web")
    played.done.clear()
    containers.end()
    assert played.done == [("up", (("web",), ()))]


def test_what_a_broken_off_compose_still_holds_is_started_a_little_later(
    played: Played, containers: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.build(containers, "web")
    played.done.clear()
    outcomes = [SetupError("docker compose failed"), None]

    def up(*given: Any) -> None:
        played.up(*given)
        if fault := outcomes.pop(0):
            raise fault

    monkeypatch.setattr("slimbake.deploy.compose.up", up)
    monkeypatch.setattr(watched, "_SETTLING", 0)
    containers.end()
    assert played.done == [("up", (("web",), ()))] * 2


def test_what_depends_on_one_that_failed_starts_with_it(
    played: Played, containers: Watched
) -> None:
    web = service("web", depends_on=(("job", "service_started"),))
    made = fleet(web, service("job"), file=played.project.root / "services.yaml")
    played.project = replace(unlocked(made), workspace=played.project.workspace)
    played.refused = ("job",)
    with pytest.raises(CheckError):
        played.build(containers, "web", "job")
    assert [name for name, _ in played.done] == ["bake"]
    played.refused = ()
    assert played.build(containers, "job")[0] == ("bake", ("job", "web"))
    assert played.done[-1] == ("up", (("job", "web"), ("web",)))


def test_a_bake_of_one_leaves_the_others_the_code_that_they_mount(
    played: Played, containers: Watched
) -> None:
    played.build(containers, "web", "job")
    assert played.build(containers, "job")[-1] == ("up", (("job",), ("web",)))
