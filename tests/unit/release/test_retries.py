"""A build that the builder itself gave up is tried again, and that is said."""

import pytest
from tests.unit.fleets import fleet, service, unlocked
from tests.unit.release.played import site

from slimbake.release import bake as baking
from slimbake.release.bake import bake
from slimbake.release.command import BakeOptions
from slimbake.release.events import BuildStep, Vertex

PROJECT = unlocked(fleet(service("api")))
WORDS = "#1 building\nERROR: failed to solve: DeadlineExceeded: context deadline exceeded\n"


def broken() -> baking._Run:
    vertex = Vertex(BuildStep("", "bake", ""), "failed", error="the daemon gave up: " + WORDS)
    return baking._Run({}, vertex, WORDS, frozenset({"runtime"}))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[baking._Run]:
    """What the builds come to, one after the other."""
    runs: list[baking._Run] = []
    monkeypatch.setattr(baking, "_build", lambda *_: runs.pop(0))
    return runs


def test_it_waits_and_goes_on(builds: list[baking._Run], monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    monkeypatch.setattr("slimbake.release.bake.time.sleep", pauses.append)
    builds += [
        broken(),
        broken(),
        baking._Run({"api": ("sha256:1",)}, None, "", frozenset({"api"})),
    ]
    said: list[str] = []
    done = bake(site(PROJECT, said), ("api",), BakeOptions())
    assert done.digests == {"api": ("sha256:1",)}
    assert done.ran == {"runtime", "api"}, "also what ran before it gave up"
    assert pauses == [2.0, 15.0]
    assert said == [
        f"the builder gave up, as one that is busy; again in {seconds} s: {WORDS.splitlines()[1]}"
        for seconds in (2, 15)
    ]
