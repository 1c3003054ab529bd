"""What precedes every build: the project as it is once nobody else holds it."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, locked, pinned, plan_of, questions, service, unlocked
from tests.unit.machines import ENGINE, debian
from tests.unit.release.played import site as played

from slimbake.console import QUIET, Console
from slimbake.docker.engine import DockerEngine
from slimbake.errors import SetupError, StaleFiles
from slimbake.externals import resolve
from slimbake.fleet.model import External
from slimbake.lock.locks import LockRecord, write_locks
from slimbake.lock.model import text_digest
from slimbake.lock.text import lock_text
from slimbake.lock.wheelhouse import Wheels
from slimbake.lock.wheelhouse.store import Held
from slimbake.project import Project, load, reread
from slimbake.release import site
from slimbake.release.command import Surroundings, staged
from slimbake.release.site import hold

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
    monkeypatch.setattr(site, "expect_engine", lambda: ENGINE)
    monkeypatch.setattr(site, "resolve_externals", lambda *_: None)
    monkeypatch.setattr(site, "machine", debian)
    monkeypatch.setattr(site, "surroundings", lambda *_: Surroundings(externals={}))
    monkeypatch.setattr(site, "remove_dangling", lambda _: None)
    monkeypatch.setattr(site, "remove_owned", lambda _: [])
    return load(tmp_path / "services.yaml")


def lock_all(project: Project, version: str) -> Project:
    """Lock it as another process would, with this version of all that it asks for."""
    asked = questions(project.fleet)
    pins = {"base-web": (pinned("thing", version),)}
    texts = {name: lock_text(pins.get(name, ())) for name in asked}
    records = {name: LockRecord(value, text_digest(texts[name])) for name, value in asked.items()}
    write_locks(project.root, texts, records)
    return reread(project)


def test_newer_locks_count(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lock_all(project, "1")

    @contextlib.contextmanager
    def held(*_: Any) -> Iterator[None]:
        lock_all(project, "2")
        yield

    monkeypatch.setattr(site, "exclusively", held)
    with hold(before, QUIET, ("api",)) as ready:
        assert ready.project.locks.pins("base-web") == (pinned("thing", "2"),)
        assert ready.plan == reread(project).plan != before.plan


def test_a_frozen_build_needs_locks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "exclusively", lambda *_: contextlib.nullcontext())
    with (
        pytest.raises(StaleFiles, match="not locked yet: the packages of base-web; the digests"),
        hold(project, QUIET, ("api",), frozen=True),
    ):
        pass


def test_an_absent_image_is_reported_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def images(externals: list[External], _: DockerEngine) -> list[None]:
        asked.extend(each.reference for each in externals)
        return [None] * len(externals)

    monkeypatch.setattr(resolve, "available_images", images)
    monkeypatch.setattr(site, "resolve_externals", resolve.resolve_externals)
    monkeypatch.setattr("slimbake.lock.locking.lock", lambda *_: asked.append("lock"))
    file = project.root / "services.yaml"
    step = "build: [{image: 'node:22', run: [npm, ci], outputs: [dist]}]"
    file.write_text(f"{MANIFEST[:-2]}, {step}}}\n")
    with pytest.raises(SetupError, match="cannot be reached"), hold(load(file), QUIET, ("api",)):
        pass
    assert "node:22" in asked and "lock" not in asked


def test_two_folders_of_a_project_do_not_wait(project: Project, tmp_path: Path) -> None:
    held = lock_all(project, "1")
    other = tmp_path / "other"
    shutil.copytree(project.root, other, ignore=shutil.ignore_patterns("other"))
    said: list[str] = []
    console = Console(said.append)
    with (
        hold(held, console, ("api",)) as one,
        hold(load(other / "services.yaml"), console, ("api",)) as two,
    ):
        names = [staged(site.plan, "api", site.around.checkout) for site in (one, two)]
    assert len({*names}) == 2
    assert not [line for line in said if "waiting" in line]


def test_nameless_images_follow_builds(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(site, "remove_dangling", removed.append)
    held = lock_all(project, "1")
    with hold(held, QUIET, ("api",)):
        pass
    assert removed == []
    with hold(held, QUIET, ("api",)) as ready:
        ready.built.set()
    assert removed == [project.manifest.project]


def test_each_layer_is_given_its_own_wheels_of_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(tmp_path / "wheelhouse"))
    pins = [pinned("torch", size=100_000_000), pinned("thing")]
    held = []
    for pin in pins:
        path = tmp_path / pin.wheels[0].file
        path.touch()
        held.append(Held(pin.wheels[0].sha256, path))
    monkeypatch.setattr(site, "fetch", lambda *_, **__: Wheels({"api": tuple(held)}, 0))
    made = unlocked(fleet(service("api", requirements=asks("torch"))))
    locks = locked(api=pins)
    found = played(replace(made, locks=locks, plan=plan_of(made.fleet, locks))).stocked(("api",))
    names = {
        target.rpartition("_")[0]: [path.name for path in Path(folder, "wheels").iterdir()]
        for target, folder in found.around.wheels.items()
    }
    assert names == {"layer_torch": [held[0].path.name], "layer": [held[1].path.name]}


@pytest.mark.parametrize(
    ("platform", "lacking"),
    [("", "linux/amd64"), ("linux/amd64", "linux/amd64"), ("linux/arm64", "")],
)
def test_a_platform_that_the_builder_does_not_run_is_an_error_before_anything_is_locked(
    platform: str, lacking: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = replace(ENGINE, platform="linux/arm64", builds_for=frozenset({"linux/arm64"}))
    monkeypatch.setattr(site, "expect_engine", lambda: arm)
    monkeypatch.setattr(site, "relocked", lambda *_: pytest.fail("locked"))
    expected = f"the builder runs linux/arm64 and not {lacking}" if lacking else "locked"
    with (
        pytest.raises((SetupError, pytest.fail.Exception), match=expected),
        hold(project, QUIET, ("api",), platform=platform),
    ):
        pass


@pytest.mark.parametrize(
    ("platform", "builder", "said"),
    [("linux/amd64", "docker", 0), ("linux/arm64", "docker", 1), ("linux/arm64", "cloud", 0)],
)
def test_a_bake_by_emulation_alone_says_so(
    platform: str, builder: str, said: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(ENGINE, platform=platform, builder=builder)
    monkeypatch.setattr(site, "expect_engine", lambda: found)
    monkeypatch.setattr(site, "exclusively", lambda *_: contextlib.nullcontext())
    lines: list[str] = []
    held = lock_all(project, "1")
    with hold(held, Console(lines.append), ("api",)):
        pass
    emulated = "warning: linux/amd64: emulated on this linux/arm64 engine;"
    assert sum(line.startswith(emulated) for line in lines) == said
