"""The generated workflow, run as it stands: each job with a clone, an engine, and only what the
YAML gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from tests.commits import commit
from tests.engine.conftest import Toy, fleet
from tests.engine.pipeline import Pipeline, Run
from tests.engine.registries import Pushed
from tests.engine.toys import BROKEN, SMOKE, code, entry

from slimbake import __version__

pytestmark = pytest.mark.slow

WHEEL = f"slimbake-{__version__}-py3-none-any.whl"
WEB, ML = "    base: web\n", "    base: ml\n"
ON_ML = ("embedding", "nlg")
SERVICES = ("api", *ON_ML, "client")  # a job each, with an engine of its own
SHARED = ("runtime", "base-web", "base-ml")


def manifest(registry: str, toy: Toy, ml: str) -> str:
    """A small fleet in the shape of the example; `ml`: what its larger base requires."""
    return (
        f"registry: {registry}/{toy.project}\nci: {{provider: github, slimbake: {WHEEL}}}\n"
        f"bases:\n  web: {{requirements: [six]}}\n  ml: {{extends: web, requirements: ['{ml}']}}\n"
        "services:\n"
        + entry("api", WEB)
        + "".join(entry(name, ML) for name in ON_ML)
        + entry("client")
    )


class Fleet:
    """The fleet in its repository, as the first run left it on the registry."""

    def __init__(self, toy: Toy, registry: str, pipeline: Pipeline) -> None:
        self.toy, self.registry, self.pipeline = toy, registry, pipeline
        self.first = pipeline.push("v1")

    def digests(self, tag: str) -> dict[str, str]:
        """What a tag names, by service."""
        return {name: Pushed(self.registry, self.toy, name).manifest(tag)[0] for name in SERVICES}

    def tags(self, name: str) -> list[str]:
        return Pushed(self.registry, self.toy, name).tags()

    @contextmanager
    def edited(self, files: Mapping[str, str]) -> Iterator[None]:
        """Commit other contents of files, path -> text; in the end those of before."""
        there = {path: self.toy.root / path for path in files}
        old = {
            path: file.read_text("utf-8") if file.is_file() else None
            for path, file in there.items()
        }
        try:
            for path, text in files.items():
                self.toy.file(path, text)
            self.settle()
            yield
        finally:
            for path, was in old.items():
                if was is None:
                    (self.toy.root / path).unlink()
                else:
                    self.toy.file(path, was)
            self.settle()

    def settle(self) -> None:
        """Lock, generate and commit, as a person does before a push."""
        for word in ("lock", "generate"):
            self.toy.done(word)
        commit(self.toy.root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Iterator[Fleet]:
    """The fleet after its first push."""
    with fleet(tmp_path_factory.mktemp("workflow")) as toy:
        toy.write(
            manifest(registry, toy, "toolz==0.12.0"),
            {**code(toy, *SERVICES), ".gitignore": ".slimbake/\n", WHEEL: "not installed here"},
        )
        for word in ("lock", "generate"):
            toy.done(word)
        commit(toy.root)
        yield Fleet(toy, registry, Pipeline(toy.root, registry, tmp_path_factory.mktemp("runs")))


def held(run: Run) -> None:
    assert run.code == 0, "\n".join(job.said for job in run.jobs if job.code)


def test_each_base_is_built_exactly_once_in_all_and_each_service_stands_on_it(made: Fleet) -> None:
    held(made.first)
    assert made.first.services == list(SERVICES)
    for target in SHARED:
        assert made.first.built(target) == ["shared linux_amd64"]
    for number, name in enumerate(SERVICES):
        assert made.first.built(name) == [f"services linux_amd64-{number}"]
    layers = {
        name: [
            each["digest"]
            for each in Pushed(made.registry, made.toy, name).manifest("v1")[1]["layers"]
        ]
        for name in (*SERVICES, "base-ml")
    }
    for name in ON_ML:
        assert layers[name][: len(layers["base-ml"])] == layers["base-ml"], (
            "the very blobs that wave 1 pushed"
        )


def test_a_second_run_builds_nothing_and_tags_all_of_it(made: Fleet) -> None:
    again = made.pipeline.push("v2")
    held(again)
    assert again.services == []
    assert not set().union(*(job.built for job in again.jobs))
    assert made.digests("v2") == made.digests("v1")
    assert f"Unchanged, and not built: {len(SERVICES)}." in again.summary


def test_a_one_line_edit_builds_that_service_only(made: Fleet) -> None:
    with made.edited({"api/app.py": f"print('edited')  # {made.toy.project}\n"}):
        run = made.pipeline.push("v3")
    held(run)
    assert run.services == ["api"]
    assert set().union(*(job.built for job in run.jobs)) <= {"inside", "api", "api-smoke"}
    before, after = made.digests("v1"), made.digests("v3")
    assert {name for name in SERVICES if after[name] != before[name]} == {"api"}
    old, new = (
        Pushed(made.registry, made.toy, "api").manifest(tag)[1]["layers"] for tag in ("v1", "v3")
    )
    assert len([layer for layer in new if layer not in old]) == 1, (
        "one layer of its own is pushed, and no other"
    )


def test_a_bump_in_a_base_builds_it_once_and_all_that_stands_on_it_on_from_where_a_run_broke_off(
    made: Fleet,
) -> None:
    text = (made.toy.root / "services.yaml").read_text("utf-8")
    with made.edited({"services.yaml": text.replace("toolz==0.12.0", "toolz==0.12.1")}):
        broken_off = made.pipeline.push("v4", until="shared")
        held(broken_off)
        assert broken_off.services == list(ON_ML)
        assert broken_off.built("base-ml") == ["shared linux_amd64"]
        run = made.pipeline.push("v4")
    held(run)
    assert run.services == list(ON_ML)
    assert [name for name in ON_ML if run.built(name)] == list(ON_ML)
    assert run.built("base-ml") == [], "its first wave is on the registry"
    for target in ("runtime", "base-web", "api", "client"):
        assert broken_off.built(target) == run.built(target) == []
    before, after = made.digests("v1"), made.digests("v4")
    assert {name for name in SERVICES if after[name] != before[name]} == set(ON_ML)


def test_a_service_whose_smoke_does_not_hold_is_not_pushed_and_is_reported(made: Fleet) -> None:
    with made.edited({"client/smoke.py": BROKEN, "api/smoke.py": f"{SMOKE}# edited\n"}):
        run = made.pipeline.push("v7")
    assert run.code == 6
    assert "v7" not in made.tags("client")
    assert "v7" in made.tags("api")
    assert "| <code>client</code> | failed |" in run.summary
    assert "Failed: <code>client</code>" in run.summary
