"""What precedes every build: the project as it is once nobody else holds it."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import ENGINE, debian

from slimbake.build import site
from slimbake.build.command import Surroundings, staged
from slimbake.build.session import Session
from slimbake.build.site import Preparation, hold
from slimbake.console import QUIET, Console
from slimbake.docker.engine import DockerEngine
from slimbake.errors import SetupError, StaleFiles
from slimbake.externals import resolve
from slimbake.fleet.model import External
from slimbake.host.files import checkout, state_folder
from slimbake.lock.asked import asks
from slimbake.lock.locks import LockRecord, write_locks
from slimbake.lock.model import Pin, text_digest
from slimbake.lock.text import lock_text
from slimbake.project import Project, load, reread

MANIFEST = """\
project: toys
python: "3.11"
packages: index
bases:
  web: {requirements: [thing]}
services:
  api: {context: api, base: web}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that was never locked, on a machine whose engine is only named."""
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFEST)
    monkeypatch.setattr(site, "setup", lambda *_: ENGINE)
    monkeypatch.setattr(site, "machine", debian)
    monkeypatch.setattr(site, "surroundings", lambda *_: Surroundings(externals={}))
    monkeypatch.setattr(site, "remove_dangling", lambda _: None)
    return load(tmp_path / "services.yaml")


def lock_all(project: Project, version: str) -> Project:
    """Lock it as another process would, with this version of all that it asks for."""
    asked = asks(project.asked, None)
    pins = {"base-web": (Pin("thing", version),)}
    texts = {name: lock_text(pins.get(name, ())) for name in asked}
    records = {name: LockRecord(value, text_digest(texts[name])) for name, value in asked.items()}
    write_locks(project.root, texts, records)
    return reread(project)


def test_locks_that_were_made_while_it_waited_are_those_that_count(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lock_all(project, "1")

    @contextlib.contextmanager
    def held(*_: Any) -> Iterator[None]:
        lock_all(project, "2")
        yield

    monkeypatch.setattr(site, "exclusively", held)
    with hold(before, Preparation(targets=("api",)), QUIET) as ready:
        assert ready.project.locks.pins("base-web") == (Pin("thing", "2"),)
        assert ready.plan == reread(project).plan != before.plan


def test_a_frozen_build_refuses_locks_that_nobody_made(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "exclusively", lambda *_: contextlib.nullcontext())
    with (
        pytest.raises(StaleFiles, match="not locked yet: the packages of base-web; the digests"),
        hold(project, Preparation(targets=("api",), frozen=True), QUIET),
    ):
        pass


def test_an_image_that_cannot_be_had_is_reported_before_anything_is_locked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def images(externals: list[External], _: DockerEngine) -> list[None]:
        asked.extend(each.reference for each in externals)
        return [None] * len(externals)

    monkeypatch.setattr(resolve, "available_images", images)
    monkeypatch.setattr("slimbake.lock.locking.lock", lambda *_: asked.append("lock"))
    file = project.root / "services.yaml"
    step = "build: [{image: 'node:22', run: [npm, ci], outputs: [dist]}]"
    file.write_text(f"{MANIFEST[:-2]}, {step}}}\n")
    with (
        pytest.raises(SetupError, match="node:22 cannot be reached, and slimbake has no stand-in"),
        hold(load(file), Preparation(targets=("api",)), QUIET),
    ):
        pass
    assert asked == ["node:22"]


def test_two_folders_of_one_project_do_not_wait_for_each_other(
    project: Project, tmp_path: Path
) -> None:
    held = lock_all(project, "1")
    other = tmp_path / "other"
    shutil.copytree(project.root, other, ignore=shutil.ignore_patterns("other"))
    said: list[str] = []
    console = Console(said.append)
    with (
        hold(held, Preparation(targets=("api",)), console) as one,
        hold(load(other / "services.yaml"), Preparation(targets=("api",)), console) as two,
    ):
        names = [staged(site.plan, "api", site.around.checkout) for site in (one, two)]
    assert len({*names}) == 2
    assert not [line for line in said if "waiting" in line]


def test_images_without_a_name_are_looked_for_after_a_build_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(site, "remove_dangling", removed.append)
    held = lock_all(project, "1")
    with hold(held, Preparation(targets=("api",)), QUIET):
        pass
    assert removed == []
    with hold(held, Preparation(targets=("api",)), QUIET) as ready:
        ready.built.set()
    assert removed == [project.manifest.project]


def test_bakes_of_one_session_look_at_the_machine_once_until_one_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def look(name: str, found: Any) -> Callable[..., Any]:
        def looking(*_: object) -> Any:
            looked.append(name)
            return found

        return looking

    monkeypatch.setattr(site, "setup", look("engine", ENGINE))
    monkeypatch.setattr(site, "surroundings", look("surroundings", Surroundings(externals={})))
    held, wanted = lock_all(project, "1"), Preparation(targets=("api",))
    with Session() as session:
        for _ in range(2):
            with hold(held, wanted, QUIET, session):
                pass
        assert looked == ["engine", "surroundings"]
        with hold(held, replace(wanted, platform="linux/arm64"), QUIET, session):
            pass
        assert looked == ["engine", "surroundings", "surroundings"]
        session.forget()
        with hold(held, wanted, QUIET, session):
            pass
        assert looked[3:] == ["engine", "surroundings"]
    with hold(held, wanted, QUIET):
        pass
    assert looked[5:] == ["engine", "surroundings"]


def test_a_session_holds_the_project_until_its_images_are_removed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, removed = threading.Event(), list[str]()

    def remove(name: str) -> None:
        go_on.wait()
        removed.append(name)

    monkeypatch.setattr(site, "remove_dangling", remove)
    held, wanted = lock_all(project, "1"), Preparation(targets=("api",))
    lock = state_folder() / f"bake-{project.manifest.project}-{checkout(project.root)}.lock"

    def is_held() -> bool:
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    with Session() as session:
        with hold(held, wanted, QUIET, session) as ready:
            ready.built.set()
        assert (removed, is_held()) == ([], True)
        go_on.set()
        session.wait()
        assert (removed, is_held()) == (["toys"], False)
        with hold(held, wanted, QUIET, session) as ready:
            ready.built.set()
    assert (removed, is_held()) == (["toys"] * 2, False)


def test_what_a_session_puts_off_runs_in_order_and_fails_loudly() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("late")

    with Session() as session:
        for number in range(3):
            session.later(functools.partial(done.append, number))
    assert done == [0, 1, 2]
    with pytest.raises(ValueError, match="late"), Session() as session:
        session.later(fail)
