"""What checks warned of when they last ran is kept until they run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.fleets import fleet, service, unlocked

from slimbake.host.workspace import Workspace
from slimbake.release.events import BuildStep, State, Vertex
from slimbake.release.warned import keep_warned, warned

PLAN = unlocked(fleet(service("api", smoke="smoke.py"), service("nlg", smoke="smoke.py"))).plan
COLD = "smoke.py imports 1 cold module"


def ran(target: str, *log: str, state: State = "done") -> Vertex:
    return Vertex(BuildStep(target, "smoke", "RUN smoke"), state, log=[*log])


def test_warnings_of_a_check_are_kept_until_it_runs_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    lines = ("smoke: import passed", f"slimbake: warning: {COLD}")
    keep_warned(workspace, PLAN, [ran("api-smoke", *lines), ran("nlg-smoke", *lines)])
    assert warned(workspace) == {"api-smoke": (COLD,), "nlg-smoke": (COLD,)}
    keep_warned(workspace, PLAN, [ran("api-smoke", state="cached"), ran("nlg-smoke")])
    assert warned(workspace) == {"api-smoke": (COLD,), "nlg-smoke": ()}


def test_what_is_no_check_and_what_is_no_more_is_not_kept(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    keep_warned(workspace, PLAN, [ran("api", f"slimbake: warning: {COLD}")])
    assert warned(workspace) == {}
    keep_warned(workspace, PLAN, [ran("api-smoke"), ran("nlg-smoke")])
    less = replace(PLAN, targets=tuple(t for t in PLAN.targets if t.service != "nlg"))
    keep_warned(workspace, less, [ran("api-smoke")])
    assert warned(workspace) == {"api-smoke": ()}
