"""The generated workflow, run as it stands: each job with a clone, an engine of its own, and only what
the YAML gives it. tests/workflow/test_runs.py runs all that a push can start, on one engine.
"""

from __future__ import annotations

import pytest
from tests.commits import commit
from tests.engine.conftest import Toy
from tests.engine.pipeline import Pipeline, Run
from tests.engine.registries import Pushed
from tests.engine.toys import code, entry

from slimbake import __version__

pytestmark = pytest.mark.slow

WHEEL = f"slimbake-{__version__}-py3-none-any.whl"
WEB, ML = "    base: web\n", "    base: ml\n"
ON_ML = ("embedding", "nlg")
SERVICES = ("api", *ON_ML, "client")  # a job each, with an engine of its own
SHARED = ("runtime", "base-web", "base-ml")


def manifest(registry: str, toy: Toy) -> str:
    """A small fleet in the shape of the example."""
    return (
        f"registry: {registry}/{toy.project}\nci: {{provider: github, slimbake: {WHEEL}}}\n"
        "bases:\n  web: {requirements: [six]}\n"
        "  ml: {extends: web, requirements: [toolz==0.12.0]}\n"
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


def settle(toy: Toy) -> None:
    """Lock, generate and commit, as a person does before a push."""
    for word in ("lock", "generate"):
        toy.done(word)
    commit(toy.root)


@pytest.fixture(scope="module")
def made(shared_toy: Toy, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The fleet after its first push."""
    shared_toy.write(
        manifest(registry, shared_toy),
        {**code(shared_toy, *SERVICES), ".gitignore": ".slimbake/\n", WHEEL: "not installed here"},
    )
    settle(shared_toy)
    pipeline = Pipeline(shared_toy.root, registry, tmp_path_factory.mktemp("runs"))
    return Fleet(shared_toy, registry, pipeline)


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


@pytest.mark.nightly
def test_a_bump_in_a_base_builds_it_once_and_all_that_stands_on_it_on_from_where_a_run_broke_off(
    made: Fleet,
) -> None:
    made.toy.edit("toolz==0.12.0", "toolz==0.12.1")
    settle(made.toy)
    broken_off = made.pipeline.push("v2", until="shared")
    held(broken_off)
    assert broken_off.services == list(ON_ML)
    assert broken_off.built("base-ml") == ["shared linux_amd64"]
    run = made.pipeline.push("v2")
    held(run)
    assert run.services == list(ON_ML)
    assert [name for name in ON_ML if run.built(name)] == list(ON_ML)
    assert run.built("base-ml") == [], "its first wave is on the registry"
    for target in ("runtime", "base-web", "api", "client"):
        assert broken_off.built(target) == run.built(target) == []
    before, after = made.digests("v1"), made.digests("v2")
    assert {name for name in SERVICES if after[name] != before[name]} == set(ON_ML)
