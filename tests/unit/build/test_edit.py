"""Edits of code: what is settled here and stood upon, and what is left to the stages of a Dockerfile."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fingerprint.test_fingerprint import AROUND, BASES, SERVICES, repository
from tests.unit.fleets import fleet, service, unlocked
from tests.unit.machines import DEBIAN, ENGINE
from tests.unit.trees import EPOCH, state

from slimbake import docker
from slimbake.build import edit
from slimbake.build.command import BakeOptions, Surroundings, arguments, staged
from slimbake.build.known import image_accounts
from slimbake.build.site import Site
from slimbake.config.model import BuildStep, ServiceEntry
from slimbake.console import QUIET
from slimbake.host.workspace import Workspace
from slimbake.plan.model import Plan

OPTIONS = BakeOptions()


class Bench:
    """A repository whose services were baked and then edited."""

    def __init__(self, root: Path, *services: ServiceEntry) -> None:
        made = fleet(*services, bases=BASES, file=root / "services.yaml")
        repository(root, made)
        self.root = root
        self.site = Site(
            project=replace(unlocked(made), workspace=Workspace(root)),
            engine=ENGINE,
            machine=DEBIAN,
            around=Surroundings(externals={}, digests=AROUND.digests),
            console=QUIET,
        )
        self.held: dict[str, tuple[str, ...]] = {}
        (root / "services/api/api").mkdir()
        self.write("api/app.py", "def run():\n    raise ValueError\n")

    def write(self, path: str, text: str) -> None:
        (self.root / "services/api" / path).write_text(text)

    def found(self) -> edit.Edits:
        return edit.edits(self.site, image_accounts(self.site))

    def bake(self, *names: str) -> None:
        """A bake by all stages."""
        edit.keep_below(self.site, names, self.found(), self.held)

    def quick(self, *names: str) -> tuple[Plan, BakeOptions]:
        return edit.quick(self.site, names, OPTIONS, self.found(), self.held)

    def folder(self) -> Path:
        return self.root / self.quick("api")[0].target("api").context / "app"


@pytest.fixture
def kept() -> list[tuple[tuple[str, ...], bool]]:
    """The services of which an image is kept, and whether the runtime's files are."""
    return []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[Any]) -> Bench:
    made = Bench(tmp_path, *SERVICES)

    def keep(site: Site, names: tuple[str, ...], runtime: bool) -> dict[str, str]:
        kept.append((names, runtime))
        made.held |= {f"sha256:{name}": (staged(site.plan, name, kind="below"),) for name in names}
        return {name: f"sha256:{name}" for name in names}

    monkeypatch.setattr(edit, "_kept", keep)
    monkeypatch.setattr(edit, "_python", lambda *_: (sys.executable,))
    return made


def test_what_lies_below_is_kept_of_what_was_edited_and_once(bench: Bench, kept: list[Any]) -> None:
    bench.bake("api", "plain")
    assert kept == [], "a first bake is for all"
    bench.write("api/app.py", "edited = 1\n")
    bench.bake("api")
    assert kept == [(("api",), True)]
    bench.bake("api")  # a code that a step has to settle
    assert kept == [(("api",), True)]
    bench.bake("plain")
    assert kept == [(("api",), True), (("plain",), False)]
    bench.held.clear()
    bench.bake("api")
    assert kept[-1] == (("api",), False)


def test_what_lay_below_before_is_removed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    monkeypatch.setattr(docker, "remove_image", gone.append)
    for _ in range(2):
        bench.bake("api", "plain")
    (bench.root / "bake/locks/base-web.txt").write_text("httpx==2\n")
    bench.bake("api", "plain")
    assert gone == ["slimbake/atlas/api:below"]


def test_what_is_edited_while_an_image_of_it_is_kept_is_not_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = edit._kept

    def kept(site: Site, *words: Any) -> dict[str, str]:
        (bench.root / "bake/locks/base-web.txt").write_text("httpx==2\n")
        return keep(site, *words)

    was = (bench.root / "bake/locks/base-web.txt").read_text()
    bench.bake("api")
    monkeypatch.setattr(edit, "_kept", kept)
    bench.bake("api")
    (bench.root / "bake/locks/base-web.txt").write_text(was)
    assert bench.quick("api") == (bench.site.plan, OPTIONS)


def test_files_of_a_runtime_that_did_not_all_come_are_not_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        bench.bake("api")
    assert bench.quick("api") != (bench.site.plan, OPTIONS)
    found = replace(bench.found(), runtime="another")
    bench.held.clear()
    monkeypatch.setattr(edit, "_kept", interrupted)
    with pytest.raises(KeyboardInterrupt):
        edit.keep_below(bench.site, ("api",), found, {})
    bench.held["sha256:api"] = (staged(bench.site.plan, "api", kind="below"),)
    assert bench.quick("api") == (bench.site.plan, OPTIONS)


@pytest.mark.parametrize(
    ("file", "mode", "below"),
    [("app.py", 0o644, True), ("fast.so", 0o644, False), ("tool", 0o755, False)],
)
def test_packages_are_not_counted_again_unless_code_may_be_native(
    bench: Bench, file: str, mode: int, below: bool
) -> None:
    bench.write(f"api/{file}", "code = 1\n")
    (bench.root / "services/api/api" / file).chmod(mode)
    for _ in range(2):
        bench.bake("api")
    plan, _ = bench.quick("api")
    inventories = {each for each in plan.with_checks(("api",)) if each.endswith("-inventory")}
    assert inventories == (set() if below else {"api-inventory"})


def test_another_program_that_counts_packages_counts_them_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        bench.bake("api")
    assert bench.quick("api") != (bench.site.plan, OPTIONS)
    monkeypatch.setattr(edit, "zipapp", lambda _: b"another")
    assert bench.quick("api") == (bench.site.plan, OPTIONS)


def test_an_edit_is_one_target_upon_what_lies_below(bench: Bench) -> None:
    for _ in range(2):
        bench.bake("api")
    plan, options = bench.quick("api")
    assert [each.name for each in plan.needed(("api",))] == ["api"]
    made = plan.target("api")
    image = "docker-image://slimbake/atlas/api:below"
    before = bench.site.plan.target("api")
    assert dict(made.contexts) == {
        **dict.fromkeys(dict(before.contexts), image),
        "below": image,
        "code": made.context,
    }
    assert (made.args, made.labels) == (before.args, before.labels)
    said = json.loads((bench.root / options.file).read_text())
    assert said["target"].keys() == {"api"}
    assert said["target"]["api"]["contexts"] == dict(made.contexts)
    assert "--file .slimbake/code/bake.json" in " ".join(
        arguments(plan, ("api",), bench.site.around, options)
    )
    whole = (bench.root / "bake/dockerfiles/api.Dockerfile").read_text()
    text = (bench.root / made.dockerfile).read_text()
    assert whole.endswith(f"\n{text}")
    assert text.splitlines()[:2] == ["FROM below", "COPY --from=code /app /app"]
    assert "RUN" not in text


def test_code_is_settled_as_a_step_does(bench: Bench) -> None:
    for _ in range(2):
        bench.bake("api")
    (bench.root / "services/api/file.txt").chmod(0o700)
    (bench.root / "services/api/empty").mkdir()
    (bench.root / "services/api/api/old.pyc").touch()
    folder = bench.folder()
    found = state(folder)
    code = {name for name in found if "__pycache__" not in name}
    assert code == {".", "api", "api/app.py", "file.txt", "empty"}
    assert {mtime for _, mtime, _ in found.values()} == {EPOCH}
    assert (found["file.txt"][0], found["api/app.py"][0]) == ("-rwxr-xr-x", "-rw-r--r--")
    (pyc,) = (content for name, (_, _, content) in found.items() if name.endswith(".pyc"))
    assert b"/app/api/app.py" in pyc and os.fsencode(bench.root) not in pyc
    assert bench.folder() != folder, "of a known folder, BuildKit is sent what changed alone"


@pytest.mark.parametrize(
    "change",
    [
        lambda bench: (bench.root / "services/api/link").symlink_to("file.txt"),
        lambda bench: bench.held.clear(),
        lambda bench: bench.held.update({"sha256:api": ("another:name",)}),
        lambda bench: (bench.root / "libs/common/file.txt").write_text("edited"),
        lambda bench: (bench.root / "bake/locks/base-web.txt").write_text("httpx==2\n"),
        lambda bench: (
            (bench.root / "templates").mkdir()
            or (bench.root / "templates/service.Dockerfile.j2").write_text("FROM base")
        ),
        lambda bench: (bench.root / ".slimbake/below.json").unlink(),
    ],
    ids=["link", "lost", "renamed", "package", "lock", "template", "forgotten"],
)
def test_anything_but_plain_code_upon_the_same_is_left_to_the_stages(
    bench: Bench, change: Callable[[Bench], object]
) -> None:
    for _ in range(2):
        bench.bake("api")
    change(bench)
    assert bench.quick("api") == (bench.site.plan, OPTIONS)


def test_code_is_left_to_a_step_where_the_runtime_does_not_run_here(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        bench.bake("api")
    for python in ((), ("false",)):
        monkeypatch.setattr(edit, "_python", lambda *_, python=python: python)
        assert bench.quick("api") == (bench.site.plan, OPTIONS)


@pytest.mark.parametrize(
    "variable",
    [("CACHE_TO", "type=inline"), ("COMPRESSION", "estargz"), ("PLATFORMS", "linux/s390x")],
)
def test_a_cache_is_given_all_stages_and_other_layers_and_platforms_are_built_by_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, variable: tuple[str, str]
) -> None:
    monkeypatch.setenv(*variable)
    for _ in range(2):
        bench.bake("api")
    assert bench.quick("api") == (bench.site.plan, OPTIONS)


def test_no_file_of_this_machine_runs_in_place_of_the_runtimes(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    for name in ("usr/bin", "usr/lib/any", "lib64"):
        (runtime / name).mkdir(parents=True)
    (runtime / "usr/bin/python3.11").touch()
    (runtime / "usr/lib/any/libc.so.6").touch()
    (runtime / "lib64/ld-linux-any.so.2").symlink_to("/lib64/ld-linux-any.so.2")
    assert edit._python(runtime, "3.11") == ()
    (runtime / "usr/lib/any/ld-linux-any.so.2").touch()
    loader, *words, python = edit._python(runtime, "3.11")
    assert (loader, python) == (
        runtime / "usr/lib/any/ld-linux-any.so.2",
        runtime / "usr/bin/python3.11",
    )
    assert words[1:] == ["--library-path", str(runtime / "usr/lib/any")]


def test_a_service_with_steps_of_its_own_or_another_platform_has_no_quick_way(
    tmp_path: Path,
) -> None:
    made = Bench(
        tmp_path,
        service("api", build=(BuildStep(run=("true",), outputs=("x",)),)),
        service("far", platforms=("linux/riscv64",)),
        service("near"),
    )
    assert made.found().below.keys() == {"near"}
