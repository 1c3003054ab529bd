"""`bake --watch`: which services an edit touches and why, and the loop around that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.fleets import COMMON, asks, fleet, service, unlocked

from slimbake.build.touched import PathChange, asked_in, line, touched, worth_reading
from slimbake.build.watch import changes_of, watch
from slimbake.config.model import BaseEntry, Requirements
from slimbake.console import Console
from slimbake.errors import BuildError, ManifestError, Problem, SetupError, SlimbakeError
from slimbake.fleet import Fleet
from slimbake.plan import plan
from slimbake.project import Project

SERVICES = (
    service("api", base="web", smoke="smoke.py", requirements=asks("orjson", packages=(COMMON,))),
    service("nlg", base="ml", smoke="smoke.py", ignore=("drafts",)),
    service("legacy", dockerfile="services/legacy/Dockerfile"),
)
BASES = (
    BaseEntry(name="web", requirements=Requirements(("fastapi",), files=("requirements/web.txt",))),
    BaseEntry(name="ml", requirements=asks("torch"), extends="web", system=("libgomp1",)),
)
FLEET = fleet(*SERVICES, bases=BASES)
PLAN = plan(FLEET)
ALL = ("api", "nlg", "legacy")


def after(*paths: str, ignores: dict[str, str] | None = None) -> tuple[str, ...]:
    return tuple(
        touched(PLAN, PLAN, [PathChange(path) for path in paths], ignores or {}, asked_in(FLEET))
    )


# --- which services


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("services/api/src/api/app.py", ("api",)),
        ("services/api/smoke.py", ("api",)),
        ("services/api/__pycache__/app.pyc", ()),
        ("services/api/.app.py.swp", ()),
        ("services/apiary/app.py", ()),
        ("services/nlg/drafts/note.txt", ("nlg",)),  # left out of the image, and sent to its smoke
        ("libs/common/src/common.py", ("api",)),
        ("libs/common/tests/test_common.py", ()),
        ("requirements/web.txt", ("api", "nlg")),
        ("requirements/other.txt", ()),
        ("bake/locks/api.txt", ("api",)),
        ("bake/locks/base-web.txt", ("api", "nlg")),
        ("bake/locks/base-ml.system.txt", ("nlg",)),
        ("templates/service.Dockerfile.j2", ("api", "nlg")),
        ("templates/base.Dockerfile.j2", ("api", "nlg")),
        ("docker-bake.hcl.j2", ("api", "nlg", "legacy")),
        ("services/legacy/Dockerfile", ("legacy",)),
        ("bake/dockerfiles/api.Dockerfile", ()),
        ("bake/programs/build.pyz", ()),
        ("docker-bake.hcl", ()),
        (".github/workflows/bake.yml", ()),
        (".slimbake/baked.json", ()),
        (".git/index", ()),
        ("README.md", ()),
        ("services.yaml", ()),  # read again; what it says decides
    ],
)
def test_an_edit_touches_what_has_it_among_its_inputs(path: str, expected: tuple[str, ...]) -> None:
    assert after(path) == expected


def test_a_dockerfile_of_the_users_own_has_the_dockerignore_that_docker_reads() -> None:
    ignores = {"legacy": "*\n!src\n"}
    assert after("services/legacy/notes.txt", ignores=ignores) == ()
    assert after("services/legacy/src/app.py", ignores=ignores) == ("legacy",)
    assert after("services/legacy/.dockerignore", ignores=ignores) == ("legacy",)


@pytest.mark.parametrize("kind", ["deleted", "added"])
def test_a_folder_that_goes_or_comes_touches_what_is_in_it_and_below(kind: str) -> None:
    def found(path: str) -> tuple[str, ...]:
        return tuple(touched(PLAN, PLAN, [PathChange(path, kind)], {}, {}))  # type: ignore[arg-type]

    assert found("services/api") == ("api",)
    assert found("services") == ALL
    assert found("libs") == ("api",)
    assert after("services") == ()
    for path in (
        "bake",
        "bake/dockerfiles",
        "bake/programs",
        "bake/locks",
        "bake/evidence/warm",
    ):  # a first bake makes them
        assert found(path) == ()
    assert worth_reading([PathChange("bake", "added")], PLAN), "it may hold other locks"


def test_a_manifest_touches_what_it_says_otherwise_than_before() -> None:
    first, *others = SERVICES
    new = service("new", base="web")
    edited = fleet(replace(first, port=9), *others, new, bases=BASES)
    assert touched(PLAN, plan(edited), [PathChange("services.yaml")], {}, {}) == {
        "api": ("services.yaml",),
        "new": ("services.yaml",),
    }
    web, ml = BASES
    rebased = fleet(*SERVICES, bases=(replace(web, requirements=asks("flask")), ml))
    assert (
        tuple(
            touched(
                PLAN,
                plan(rebased, {"base-web.txt": "flask==1\n"}),
                [PathChange("services.yaml")],
                {},
                {},
            )
        )
        != ()
    )
    fewer = fleet(*others, bases=BASES)
    assert touched(PLAN, plan(fewer), [PathChange("services.yaml")], {}, {}) == {}


@pytest.mark.parametrize(
    "path",
    ["services.yaml", "bake/warm/api.txt", "services/api/.dockerignore", "bake/locks/api.txt"],
)
def test_what_is_read_with_the_manifest_has_it_read_again(path: str) -> None:
    assert worth_reading([PathChange(path)], PLAN)
    assert not worth_reading([PathChange("README.md"), PathChange("services/api/app.py")], PLAN)


def test_one_line_says_what_and_why() -> None:
    assert (
        line({"api": ("services/api/src/api/app.py",)})
        == "services/api/src/api/app.py changed: api"
    )
    assert line({"api": ("a", "b"), "nlg": ("a",)}) == "a and 1 more changed: api, nlg"


# --- the loop


class Watched:
    """A project whose fleet and builds are played: what is read, what was built, what was said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fleet: Fleet | SlimbakeError = FLEET
        self.fails: dict[str, SlimbakeError] = {}
        self.built: list[tuple[str, ...]] = []
        self.said: list[str] = []
        self.during: Callable[[], None] = lambda: None

    def read(self) -> Project:
        if isinstance(self.fleet, SlimbakeError):
            raise self.fleet
        return unlocked(self.fleet)

    def build(self, _: Project, services: tuple[str, ...]) -> None:
        self.built.append(services)
        self.during()
        for name in services:
            if name in self.fails:
                raise self.fails[name]

    def watch(self, changes: Iterator[frozenset[PathChange]]) -> list[tuple[str, ...]]:
        """What was built after the first build."""
        watch(
            self.read,
            self.build,
            changes,
            self.root,
            Console(self.said.append),
            lambda plan: tuple(each.service for each in plan.services),
        )
        assert self.built[0] == ALL
        return self.built[1:]


@pytest.fixture
def project(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def edits(*paths: str) -> frozenset[PathChange]:
    return frozenset(map(PathChange, paths))


API, NLG, YAML = edits("services/api/a.py"), edits("services/nlg/a.py"), edits("services.yaml")


def test_each_edit_builds_what_it_touches_and_nothing_else_does(project: Watched) -> None:
    assert project.watch(iter([frozenset(), API, edits("README.md"), YAML, NLG])) == [
        ("api",),
        ("nlg",),
    ]
    assert project.said[1:] == ["services/api/a.py changed: api", "services/nlg/a.py changed: nlg"]


def test_temporary_files_of_editors_are_named_only_where_nothing_else_changed(
    project: Watched,
) -> None:
    came = PathChange("services/api/Sed", "added")
    passing = {came, replace(came, kind="deleted")}
    gone = {PathChange("services/api/a.py", "deleted")}
    assert (
        project.watch(iter([API | passing, frozenset(gone | passing), frozenset(passing)]))
        == [("api",)] * 3
    )
    assert project.said[1:] == [
        "services/api/a.py changed: api",
        "services/api/a.py changed: api",
        "services/api/Sed changed: api",
    ]
    (project.root / "services/api").mkdir(parents=True)
    (project.root / "services/api/Sed").touch()
    project.watch(iter([API | passing]))
    assert project.said[-1] == "services/api/Sed and 1 more changed: api"


def test_what_a_build_writes_leads_to_no_further_build(project: Watched) -> None:
    written = edits(
        "bake/dockerfiles/api.Dockerfile",
        "docker-bake.hcl",
        ".slimbake/baked.json",
        ".github/workflows/bake.yml",
    )
    assert project.watch(iter([API, written])) == [("api",)]


def test_edits_during_a_build_lead_to_one_more(project: Watched) -> None:
    waiting: set[PathChange] = set()

    def changes() -> Iterator[frozenset[PathChange]]:
        yield API
        while waiting:  # as watchfiles does: all that came in the meantime is one set
            found = frozenset(waiting)
            waiting.clear()
            yield found

    def during() -> None:
        if len(project.built) == 2:
            waiting.update(edits("services/api/a.py", "services/api/b.py", "libs/common/c.py"))

    project.during = during
    assert project.watch(changes()) == [("api",), ("api",)]


def test_a_faulty_manifest_is_reported_once_and_what_was_edited_meanwhile_is_not_lost(
    project: Watched,
) -> None:
    fault = ManifestError.of(
        "services.yaml", [Problem("services.yaml", 3, 1, "services.api", "no such base 'wbe'")]
    )

    def changes() -> Iterator[frozenset[PathChange]]:
        project.fleet = fault
        yield YAML
        yield API
        project.fleet = FLEET
        yield YAML
        yield NLG

    assert project.watch(changes()) == [("api",), ("nlg",)]
    reported = [text for text in project.said if "no such base" in text]
    assert reported == [
        "services.yaml:3:1: services.api: no such base 'wbe'\n1 problem in services.yaml"
    ]


def test_a_build_that_fails_is_reported_and_watching_goes_on(project: Watched) -> None:
    project.fails = {"api": BuildError("api does not build", "try this")}
    assert project.watch(iter([API, NLG, API])) == [("api",), ("nlg",), ("api",)]
    # the first bake of all, too
    assert project.said.count("slimbake: api does not build\n  try this") == 3


def test_what_could_not_begin_is_built_with_the_next_edit(project: Watched) -> None:
    def changes() -> Iterator[frozenset[PathChange]]:
        project.fails = {"api": SetupError("the engine is gone")}
        yield API
        project.fails = {}
        yield NLG

    assert project.watch(changes()) == [("api",), ("api", "nlg")]


def test_a_removed_service_is_not_built_any_more(project: Watched) -> None:
    def changes() -> Iterator[frozenset[PathChange]]:
        project.fleet = fleet(*SERVICES[1:], bases=BASES)
        yield frozenset({*YAML, PathChange("services/api", "deleted")})

    assert project.watch(changes()) == []


def test_a_faulty_manifest_at_first_is_raised(project: Watched) -> None:
    project.fleet = ManifestError("1 problem in services.yaml")
    with pytest.raises(ManifestError):
        project.watch(iter([]))
    assert project.built == []


def test_an_interruption_ends_it(project: Watched) -> None:
    def during() -> None:
        if len(project.built) == 2:
            raise KeyboardInterrupt

    project.during = during
    with pytest.raises(KeyboardInterrupt):
        project.watch(iter([API, NLG]))
    assert project.built == [ALL, ("api",)]


# --- real files


def test_edits_renames_and_removals_are_seen_as_paths_below_the_root(tmp_path: Path) -> None:
    for folder in ("services/api", ".git", ".slimbake"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "services/api/a.py").write_text("1")
    changes = changes_of(tmp_path)
    assert next(changes) == frozenset()
    (tmp_path / ".git/index").write_text("x")
    (tmp_path / ".slimbake/baked.json").write_text("x")
    (tmp_path / "services/api/a.py").write_text("2")
    assert {change.path for change in settled(changes)} == {"services/api/a.py"}
    (tmp_path / "services/api").rename(tmp_path / "services/other")
    found = settled(changes)
    assert PathChange("services/api", "deleted") in found
    assert PathChange("services/other", "added") in found
    changes.close()  # type: ignore[attr-defined]


def settled(changes: Iterator[frozenset[PathChange]]) -> frozenset[PathChange]:
    """All changes until there are no more."""
    found: frozenset[PathChange] = frozenset()
    for new in changes:
        if found and not new:
            return found
        found |= new
    raise AssertionError
