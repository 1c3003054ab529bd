"""What a person sees of a build that runs."""

from typing import Any

import pytest
from tests.unit.fleets import planned, service

from slimbake.config.model import BaseEntry
from slimbake.console import Console
from slimbake.console.progress import drawn
from slimbake.release import show as showing
from slimbake.release.events import Progress, Steps
from slimbake.release.show import Board, Plain

PLAN = planned(
    service("one", base="files", context="one", smoke="smoke.py"),
    service("two", base="files", context="two", smoke="smoke.py"),
    bases=(BaseEntry("files", system=("media-types",)),),
)
NAMES = ("runtime", "base-files", "one", "two", "one-smoke")
STEPS = {
    "runtime": ("WORKDIR /app", ()),
    "base-files": ("RUN base", ("runtime",)),
    "one": ("RUN one", ("base-files",)),
    "two": ("RUN two", ("base-files",)),
    "one-smoke": ("RUN smoke", ("one",)),
}
DOCKERFILES = {PLAN.target(name).dockerfile: step for name, (step, _) in STEPS.items()}


class Build:
    """A build that is played: of each target one step, known by the target's name."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progress = Progress(Steps(PLAN, DOCKERFILES))
        targets = [target for target in PLAN.targets if target.name in NAMES]
        self.board = Board(targets, ("one", "two"), self.progress)
        self.plain = Plain(self.board, Console(self.said.append))

    def event(self, target: str, step: str, began: int = 0, ended: int = 0, **more: Any) -> None:
        """BuildKit tells of a step in the build of a target."""
        name, inputs = STEPS.get(step, (f"exporting to {step}", ()))
        stage = "stage-0 1/1" if step in STEPS else ""
        reported = {
            "digest": step if step in STEPS else f"{target} export",
            "name": f"[{target}{stage and f' {stage}'}] {name}",
            "inputs": list(inputs),
            **({"started": _at(began)} if began else {}),
            **({"completed": _at(ended)} if ended else {}),
            **more,
        }
        for change in self.progress.take({"vertexes": [reported]}):
            self.plain.take(change)

    def plan_all(self) -> None:
        """BuildKit names all steps of each target that it is asked for."""
        for name in NAMES:
            for below in PLAN.needed((name,)):
                if below.name in STEPS:
                    self.event(name, below.name)

    def shown(self) -> list[str]:
        """The lines of a terminal below the first one."""
        return [line for line, _ in drawn(self.board.view(), 80)][1:]


def _at(second: int) -> str:
    return f"2026-11-26T10:00:{second:02}.000000000Z"


@pytest.fixture
def build() -> Build:
    return Build()


def test_a_target_is_done_when_its_last_step_is_and_its_image_is_there(build: Build) -> None:
    build.plan_all()
    build.event("one", "runtime", 1, 2)
    build.event("one", "base-files", 2, 3)
    ready = dict.fromkeys(("runtime", "base-files"), "done")
    assert build.board.states() == ready | dict.fromkeys(("one", "two", "one-smoke"), "waits")
    build.event("one", "one", 3)
    assert build.board.state("one") == "running"
    build.event("one", "one", 3, 4)
    assert build.board.state("one") == "exports", "between the last step and the export"
    build.event("one", "image", 4)
    assert build.board.state("one") == "exports"
    build.event("one", "image", 4, 5)
    assert build.board.state("one") == "done"
    assert build.board.state("one-smoke") == "waits"


def test_what_is_cached_is_not_built(build: Build) -> None:
    build.plan_all()
    build.event("runtime", "runtime", 1, 1, cached=True)
    assert build.board.state("runtime") == "cached"


def test_each_group_says_how_far_it_is_and_what_runs(build: Build) -> None:
    build.plan_all()
    build.event("runtime", "runtime", 1, 2)
    build.event("base-files", "base-files", 2)
    (shared, running, services, checks) = build.shown()
    assert shared == "shared    1 of 2"
    assert running.split()[:2] == ["…", "base-files"]
    assert (services, checks) == ("services  0 of 2", "checks    0 of 1")


def test_a_step_that_each_target_tells_again_is_said_once(build: Build) -> None:
    build.plan_all()
    for target in ("base-files", "one", "two"):
        build.event(target, "base-files", 2)
        build.event(target, "base-files", 2, 5)
    assert build.said == ["base-files: RUN base (3.0 s)"]


def test_a_step_that_was_cancelled_may_begin_again(build: Build) -> None:
    build.event("one", "base-files", 2, 3, error="context canceled")
    assert build.board.state("base-files") == "cancelled"
    build.event("two", "base-files", 4)
    assert build.board.state("base-files") == "running"


def test_a_line_of_a_check_is_said_once(build: Build) -> None:
    build.event("one-smoke", "one-smoke", 1)
    data = "c21va2U6IGEKc21va2U6IGEKc21va2U6IGIK"  # smoke: a, twice, and smoke: b
    for change in build.progress.take({"logs": [{"vertex": "one-smoke", "data": data}]}):
        build.plain.take(change)
    assert build.said == ["one-smoke: smoke: a", "one-smoke: smoke: b"]


def test_a_silent_build_says_how_far_it_is(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build.plan_all()
    build.event("runtime", "runtime", 1, 2)
    build.event("base-files", "base-files", 2)
    before = len(build.said)
    build.plain.tick()
    assert len(build.said) == before, "not long enough"
    monkeypatch.setattr(showing, "EVERY", 0.0)
    build.plain.tick()
    assert build.said[before].startswith("bake: 1 of 5 done after 0 s; running: base-files")


def test_in_the_end_all_is_done(build: Build) -> None:
    build.plan_all()
    build.plain.complete()
    assert set(build.board.states().values()) == {"cached"}
