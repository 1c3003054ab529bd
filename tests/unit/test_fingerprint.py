"""Fingerprints: what changes one, what does not, and when nothing is built again because of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import COMMON, asks, fleet, service

from slimbake.bake import Built, Result
from slimbake.bake.command import Surroundings
from slimbake.baked import Baked
from slimbake.fingerprint import fingerprints
from slimbake.manifest.model import Base, Manifest, Weights
from slimbake.plan import plan
from slimbake.plan.model import Plan

AROUND = Surroundings(externals={}, digests={"python": "sha256:1", "uv": "sha256:2"})
BAKE_FILE = 'variable "COMPRESSION" { default = "zstd" }\n'
FLEET = fleet(
    service("api", base="web", smoke="smoke.py"),
    service("embed", base="ml", smoke="smoke.py", weights=Weights("path", "models/small")),
    bases=(
        Base("web", requirements=asks("httpx", packages=(COMMON,))),
        Base("ml", extends="web", requirements=asks("torch")),
    ),
)


def repository(root: Path, manifest: Manifest = FLEET) -> tuple[Plan, Path]:
    """A folder with all that a plan names."""
    decided = plan(manifest)
    (root / "docker-bake.hcl").parent.mkdir(parents=True, exist_ok=True)
    (root / "docker-bake.hcl").write_text(BAKE_FILE)
    for target in decided.targets:
        (root / target.dockerfile).parent.mkdir(parents=True, exist_ok=True)
        (root / target.dockerfile).write_text(f"FROM scratch\nLABEL name={target.name}\n")
        (root / target.context).mkdir(parents=True, exist_ok=True)
        (root / target.context / "file.txt").write_text(target.context)
    for folder, name in (("locks", "base-web.txt"), ("dockerfiles/passes", "base-web.json")):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / name).write_text("as it was\n")
    return decided, root


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., set[str]]:
    """The targets that have another fingerprint after a change."""
    decided, root = repository(tmp_path)

    def compare(change: Callable[[Path], object], around: Surroundings = AROUND, **variables: str) -> set[str]:
        before = fingerprints(decided, root, AROUND, {})
        change(root)
        after = fingerprints(decided, root, around, variables)
        assert before.keys() == after.keys() == {target.name for target in decided.targets}
        return {name for name in before if before[name] != after[name]}

    return compare


def nothing(_: Path) -> None:
    pass


EVERYTHING = {target.name for target in plan(FLEET).targets}


def test_nothing_but_content_counts(tmp_path: Path) -> None:
    decided, one = repository(tmp_path / "one")
    two = shutil.copytree(one, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    for path in two.rglob("*"):
        os.utime(path, (1, 1))
    assert fingerprints(decided, one, AROUND, {}) == fingerprints(decided, two, AROUND, {})


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "services/api/file.txt").write_text("edited"),
        lambda root: (root / "services/api/more.txt").write_text(""),
        lambda root: (root / "services/api/file.txt").unlink(),
        lambda root: (root / "services/api/file.txt").rename(root / "services/api/other.txt"),
        lambda root: (root / "services/api/file.txt").chmod(0o755),
        lambda root: (root / "services/api/empty").mkdir(),
        lambda root: (root / "services/api/link").symlink_to("file.txt"),
        lambda root: (root / "dockerfiles/api.Dockerfile").write_text("FROM base\n"),
        lambda root: (root / "dockerfiles/api.Dockerfile.dockerignore").write_text("file.txt\n"),
    ],
)
def test_a_change_of_a_service_is_its_own(changed: Callable[..., set[str]], change: Callable[[Path], object]) -> None:
    assert changed(change) - {"api-smoke"} == {"api"}


def test_what_stands_on_a_changed_target_changes_with_it(changed: Callable[..., set[str]]) -> None:
    assert changed(lambda root: (root / "dockerfiles/base-ml.Dockerfile").write_text("FROM scratch AS x\n")) == {
        "base-ml", "embed", "embed-smoke",
    }  # fmt: skip
    assert changed(lambda root: (root / "models/small/file.txt").write_text("trained")) == {
        "weights-models-small", "embed", "embed-smoke",
    }  # fmt: skip
    assert changed(lambda root: (root / "libs/common/file.txt").write_text("edited")) == {
        "wheel-common", "base-web", "base-ml", "api", "api-smoke", "embed", "embed-smoke",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["services/api/__pycache__/a.pyc", "services/api/.cache/x", "services/api/b.pyc"])
def test_what_is_never_sent_does_not_count(changed: Callable[..., set[str]], path: str) -> None:
    def write(root: Path) -> None:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("x")

    assert changed(write) == set()


def test_what_a_machine_brings_counts(changed: Callable[..., set[str]], tmp_path: Path) -> None:
    assert changed(nothing, replace(AROUND, digests={"python": "sha256:9", "uv": "sha256:2"})) >= {"runtime", "api"}
    assert changed(nothing, replace(AROUND, standins=("python",))) == EVERYTHING
    assert changed(nothing, COMPRESSION="gzip") == EVERYTHING
    assert changed(nothing, OTHER="a variable that the bake file does not read") == set()
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "torch-2-py3-none-any.whl").write_text("x")
    assert changed(nothing, replace(AROUND, wheels={"base-ml": str(wheels)})) == {"base-ml", "embed", "embed-smoke"}


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({"dockerfile": "services/odd/Dockerfile"}, False),
        ({"contexts": (("data", "https://example.com/data.git"),)}, False),
        ({"contexts": (("data", "docker-image://debian:13"),)}, False),
        ({"contexts": (("data", "."),)}, False),
        ({"contexts": (("data", "docker-image://debian@sha256:" + "0" * 64),)}, True),
        ({"contexts": (("data", "services/odd"),)}, True),
    ],
)
def test_what_cannot_be_known_has_no_fingerprint(tmp_path: Path, said: dict[str, Any], known: bool) -> None:
    decided, root = repository(tmp_path, fleet(service("odd", smoke="smoke.py", **said), service("api")))
    found = fingerprints(decided, root, AROUND, {})
    assert ({"odd", "odd-smoke"} <= found.keys(), "api" in found) == (known, True)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("FROM base AS one\nFROM --platform=linux/amd64 one\nCOPY --from=one /a /b\n", True),
        ("FROM base\nRUN --mount=type=bind,from=inside,source=x,target=/x true\n", True),
        ("FROM debian:13\n", False),
        ("FROM base\nCOPY --from=debian:13 /a /b\n", False),
        ("FROM base\nRUN --mount=type=bind,from=debian,target=/x true\n", False),
        ("FROM base\nADD https://example.com/a /a\n", False),
        ("# syntax=docker/dockerfile:1\nFROM base\n", False),
    ],
)
def test_a_template_of_the_users_may_read_what_cannot_be_known(tmp_path: Path, text: str, known: bool) -> None:
    decided, root = repository(tmp_path)
    (root / "dockerfiles/api.Dockerfile").write_text(text)
    found = fingerprints(decided, root, AROUND, {})
    assert ("api" in found, "api-smoke" in found, "embed" in found) == (known, known, True)


def test_a_named_context_counts_with_all_that_is_in_it(tmp_path: Path) -> None:
    decided, root = repository(tmp_path, fleet(service("odd", contexts=(("data", "assets"),))))
    (root / "assets").mkdir()
    before = fingerprints(decided, root, AROUND, {})
    (root / "assets/.hidden").write_text("sent: no .dockerignore holds here")
    assert fingerprints(decided, root, AROUND, {})["odd"] != before["odd"]


HELD = {"sha256:a": ("one",), "sha256:b": ("two",)}
BOTH = Result((Built("api", "sha256:a"), Built("embed", "sha256:b")), ())


def record(decided: Plan, root: Path) -> Baked:
    return Baked(decided, root, AROUND, root / ".slimbake/baked.json")


def names(images: tuple[Built, ...]) -> list[str]:
    return [image.name for image in images]


def test_what_was_baked_is_unchanged_until_something_changes(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    assert record(decided, root).unchanged(("api", "embed"), HELD) == ()
    record(decided, root).keep(BOTH)
    assert record(decided, root).unchanged(("api", "embed"), HELD) == (
        Built("api", "sha256:a", ("one",)), Built("embed", "sha256:b", ("two",)),
    )  # fmt: skip
    assert names(record(decided, root).unchanged(("embed",), HELD)) == ["embed"]
    assert names(record(decided, root).unchanged(("api", "embed"), {"sha256:a": ()})) == ["api"], "embed was removed"
    (root / "services/embed/smoke.py").write_text("def load(): ...")
    assert names(record(decided, root).unchanged(("api", "embed"), HELD)) == ["api"], "its smoke was never run"


def test_what_was_edited_while_it_was_built_is_not_recorded(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    record(decided, root).keep(BOTH)
    (root / "services/api/file.txt").write_text("first edit")
    baking = record(decided, root)
    (root / "services/api/file.txt").write_text("second edit")
    baking.keep(BOTH)
    assert names(record(decided, root).unchanged(("api", "embed"), HELD)) == ["embed"]
    (root / "services/api/file.txt").write_text("first edit")
    assert names(record(decided, root).unchanged(("api",), HELD)) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"api": 1}', '{"api": []}', '{"api": ["x"]}', '{"api": {"x": []}}'])
def test_a_record_that_is_no_record_is_empty(tmp_path: Path, text: str) -> None:
    decided, root = repository(tmp_path)
    (root / ".slimbake").mkdir()
    (root / ".slimbake/baked.json").write_text(text)
    assert record(decided, root).unchanged(("api", "embed"), HELD) == ()
    record(decided, root).keep(BOTH)
    assert names(record(decided, root).unchanged(("api", "embed"), HELD)) == ["api", "embed"]


def test_a_service_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    record(decided, root).keep(BOTH)
    less = plan(fleet(service("api")))
    record(less, root).keep(Result((), ()))
    assert json.loads((root / ".slimbake/baked.json").read_text()).keys() == {"api"}
