"""What `up --watch` does with an edit: a sync, or a bake."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.fleets import fleet, planned, service, unlocked

from slimbake.config.model import BuildStep, FileCopy
from slimbake.console import Console
from slimbake.deploy import compose
from slimbake.deploy import watch as watching
from slimbake.deploy.watch import Source, Watched, changes_of, copy_code, watch
from slimbake.errors import CheckError, ManifestError, StaleFiles
from slimbake.host.workspace import Workspace
from slimbake.lock.locks import Stale
from slimbake.project import Project
from slimbake.release.place import BakeRequest


@dataclass
class Played:
    """Sources as they are now, and what was done with containers."""

    project: Project
    rest: dict[str, str]
    code: dict[str, str]  # service -> the content of its only file; "link" = it is one
    done: list[tuple[str, Any]] = field(default_factory=list)
    refused: tuple[str, ...] = ()  # by their checks
    checks: str = "checks"

    def sources(self, *_: object) -> dict[str, Source]:
        return {
            name: Source(
                fingerprint=f"{self.rest[name]} {text} {self.checks}",
                rest=self.rest[name],
                code=((f"{text}.py", f"{text} 1"),),
                mountable=text != "link",
            )
            for name, text in self.code.items()
        }

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
        made.update(self.project, services, ())
        return self.done


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    made_of = fleet(service("web"), service("job"), file=tmp_path / "services.yaml")
    project = replace(unlocked(made_of), workspace=Workspace(tmp_path))
    made = Played(project, {"web": "1", "job": "1"}, {"web": "file", "job": "link"})

    for name, value in {
        "reread": lambda project: project,
        "sources": made.sources,
        "release": made.release,
        "copy_code": lambda _, code, __: made.done.append(("copy", code)),
    }.items():
        monkeypatch.setattr(watching, name, value)
    monkeypatch.setattr(compose, "up", made.up)
    monkeypatch.setattr(
        compose, "restart", lambda _, names, __: made.done.append(("restart", names))
    )
    return made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def containers(said: list[str]) -> Watched:
    request = BakeRequest(targets=(), registry="r")
    return Watched(request, lambda _: {}, {}, Console(said.append))


def test_what_has_no_links_mounts_its_code(played: Played, containers: Watched) -> None:
    assert [name for name, _ in played.build(containers, "web", "job")] == ["bake", "copy", "up"]
    assert played.done[-1] == ("up", (("web", "job"), ("web",)))


def test_code_is_copied_and_other_edits_are_baked(played: Played, containers: Watched) -> None:
    played.build(containers, "web", "job")
    played.code["web"] = "program"
    copied = ("copy", (("program.py", "program 1"),))
    assert played.build(containers, "web") == [copied, ("restart", ("web",))]
    assert played.build(containers, "web", "job") == [], "nothing changed"
    played.checks = "others"
    assert played.build(containers, "web")[0] == ("bake", ("web",))
    played.rest["web"], played.code["web"] = "2", "file"
    assert played.build(containers, "web")[0] == ("bake", ("web",))
    played.rest["job"] = "2"
    assert played.build(containers, "web", "job")[0] == ("bake", ("job",))
    played.code["web"] = "link"
    assert played.build(containers, "web")[0] == ("bake", ("web",)), "a link is not mounted"


def test_what_its_checks_refuse_is_not_started(played: Played, containers: Watched) -> None:
    played.refused = ("web",)
    with pytest.raises(CheckError):
        played.build(containers, "web", "job")
    assert played.done[-1] == ("up", (("job",), ()))
    with pytest.raises(CheckError):  # it may have been edited during the first bake
        played.build(containers, "web", "job")
    assert played.build(containers, "web", "job") == [], "it is tried again when something changes"
    played.refused, played.rest["job"] = (), "2"
    assert played.build(containers, "web", "job")[0] == ("bake", ("web", "job"))


def test_dependents_of_a_failed_service_start_with_it(played: Played, containers: Watched) -> None:
    web = service("web", depends_on=(("job", "service_started"),))
    made = fleet(web, service("job"), file=played.project.root / "services.yaml")
    played.project = replace(unlocked(made), workspace=played.project.workspace)
    played.refused = ("job",)
    with pytest.raises(CheckError):
        played.build(containers, "web", "job")
    assert [name for name, _ in played.done] == ["bake"]
    played.refused, played.rest["job"] = (), "2"
    assert played.build(containers, "web", "job")[0] == ("bake", ("web", "job"))
    assert played.done[-1] == ("up", (("web", "job"), ("web",)))


def test_a_bake_of_one_keeps_the_mounts_of_others(played: Played, containers: Watched) -> None:
    played.build(containers, "web", "job")
    played.rest["job"] = "2"
    assert played.build(containers, "job")[-1] == ("up", (("job",), ("web",)))


def test_code_that_is_edited_during_a_bake_is_synced_after_it(
    played: Played, containers: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def release(*asked: Any) -> Any:
        played.code["web"] = "program"
        return played.release(*asked)

    monkeypatch.setattr(watching, "release", release)
    played.build(containers, "web")
    assert ("copy", (("program.py", "program 1"),)) in played.done
    assert played.build(containers, "web") == [], "it runs already"


def test_requirements_that_change_are_locked_by_a_person_and_that_is_said_at_once(
    played: Played, containers: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = (Stale("web", "the requirements of web changed"), Stale("job", "", new=True))
    monkeypatch.setattr(Project, "stale_for", lambda *_: stale[1:])
    assert played.build(containers, "web")[0] == ("bake", ("web",)), "what is new a bake locks"
    monkeypatch.setattr(Project, "stale_for", lambda *_: stale)
    with pytest.raises(StaleFiles, match="locks are out of date: the requirements of web changed"):
        played.build(containers, "web")
    assert played.done == []


def test_one_line_says_what_changed(played: Played, containers: Watched, said: list[str]) -> None:
    played.build(containers, "web", "job")
    said.clear()
    played.rest = {"web": "2", "job": "2"}
    containers.update(played.project, ("web", "job"), ("b", "a"))
    assert said == ["a and 1 more changed: web, job"]


CODE = (("app.py", "file 1"), ("data", "folder"), ("run", "program 2"))
MOUNTED: dict[str, tuple[dict[str, Any], Any, bool]] = {
    "code": ({}, CODE, True),
    "a volume elsewhere": ({"volumes": (("data", "/data"),)}, CODE, True),
    "a volume in the code": ({"volumes": (("data", "/app/data"),)}, CODE, False),
    "a step that writes into the code": ({"build": (BuildStep(run=("make",)),)}, CODE, False),
    "files that are copied": (
        {"copy": (FileCopy(source="/a", to="/b", image="python"),)},
        CODE,
        False,
    ),
    "a Dockerfile of its own": ({"dockerfile": "web/Dockerfile"}, CODE, False),
    "a link in the code": ({}, (*CODE, ("link", "link to a")), False),
}


@pytest.mark.parametrize(("said", "code", "mounted"), MOUNTED.values(), ids=MOUNTED)
def test_code_is_mounted_where_an_image_has_nothing_else_there(
    said: dict[str, Any], code: Any, mounted: bool
) -> None:
    recipe = planned(service("web", **said)).target("web").recipe
    assert watching._is_mountable(recipe, code) is mounted


# --- the loop


def test_a_fault_is_reported_and_watching_goes_on(
    played: Played, containers: Watched, said: list[str], tmp_path: Path
) -> None:
    faults = [None, None, "no such base", "no such base", None]

    def read() -> Project:
        if fault := faults.pop(0):
            raise ManifestError(fault)
        return played.project

    def changes() -> Iterator[frozenset[str]]:
        yield frozenset()
        yield frozenset({"services.yaml"})
        yield frozenset({"services.yaml"})
        played.rest["web"] = "2"
        yield frozenset({"services.yaml"})

    watch(read, lambda _: ("web", "job"), containers, changes(), tmp_path)
    assert [what for what, _ in played.done if what == "bake"] == ["bake", "bake"]
    assert said == [
        f"building web, job; then watching {tmp_path}",
        *["no such base"] * 2,
        "services.yaml changed: web",
    ]


def test_a_check_that_fails_is_reported_and_watching_goes_on(
    played: Played, containers: Watched, said: list[str], tmp_path: Path
) -> None:
    played.refused = ("web",)
    watch(lambda: played.project, lambda _: ("web",), containers, iter(()), tmp_path)
    assert said[-1] == "slimbake: a smoke failed"


def test_a_faulty_manifest_at_first_is_raised(containers: Watched, tmp_path: Path) -> None:
    def read() -> Project:
        raise ManifestError("1 problem in services.yaml")

    with pytest.raises(ManifestError):
        watch(read, lambda _: (), containers, iter(()), tmp_path)


# --- real files


def test_code_is_copied_with_the_modes_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/run").write_text("1")
    code = (("data", "folder"), ("app/run", "program 1"))
    copy_code(tmp_path, code, tmp_path / "copy")
    assert (tmp_path / "copy/data").is_dir()
    assert (tmp_path / "copy/app/run").stat().st_mode & 0o777 == 0o755


def test_edits_renames_and_removals_are_seen_as_paths_below_the_root(tmp_path: Path) -> None:
    for folder in ("services/api", ".git", ".slimbake"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "services/api/a.py").write_text("1")
    changes = changes_of(tmp_path)
    assert next(changes) == frozenset()
    (tmp_path / ".git/index").write_text("x")
    (tmp_path / ".slimbake/baked.json").write_text("x")
    (tmp_path / "services/api/a.py").write_text("2")
    assert settled(changes) == {"services/api/a.py"}
    (tmp_path / "services/api").rename(tmp_path / "services/other")
    assert {"services/api", "services/other"} <= settled(changes)
    changes.close()  # type: ignore[attr-defined]


def settled(changes: Iterator[frozenset[str]]) -> frozenset[str]:
    """All changes until there are no more."""
    found: frozenset[str] = frozenset()
    for new in changes:
        if found and not new:
            return found
        found |= new
    raise AssertionError
