"""When the steps of a bake ran, which of them it waited for, and how that is kept and shown."""

from __future__ import annotations

from pathlib import Path

from tests.unit.fleets import asks, fleet, service

from slimbake.build.costs import RanStep, ran_steps, targets_ran
from slimbake.build.events import BuildStep, Progress, State, Steps, Vertex
from slimbake.build.timing import keep_costs, timeline, timeline_text
from slimbake.config.model import BaseEntry
from slimbake.console.tables import FOLDED, Layout
from slimbake.host.workspace import Workspace
from slimbake.plan import plan

PLAN = plan(
    fleet(
        service("api", base="web", smoke="smoke.py"),
        service("other", base="web"),
        bases=(BaseEntry("web", requirements=asks("fastapi")),),
    )
)


def vertex(
    target: str, title: str, started: float, seconds: float, state: State = "done"
) -> Vertex:
    return Vertex(BuildStep(target, title, f"RUN {title}"), state, started, seconds)


FETCH = vertex("base-web", "fetch-wheels /wheels", 100.5, 1.0)
INSTALL = vertex("base-web", "install", 101.5, 3.0)
CODE = vertex("api", "copy-code /app", 104.6, 0.4)
SMOKE = vertex("api-smoke", "smoke --as-nonroot", 105.2, 2.0)
BESIDE = vertex("other", "copy-code /app", 104.5, 0.6)


def test_the_critical_path_is_what_each_step_waited_for() -> None:
    cached = vertex("runtime", "runtime /out", 90.0, 0.0, "cached")
    buildx = vertex("", "load", 80.0, 1.0)
    found = ran_steps(PLAN, [SMOKE, BESIDE, CODE, INSTALL, FETCH, cached, buildx])
    assert [(each.target, each.part, each.begins, each.ends, each.critical) for each in found] == [
        ("base-web", "fetch", 0.0, 1.0, True),
        ("base-web", "install", 1.0, 4.0, True),
        ("other", "compile", 4.0, 4.6, False),
        ("api", "compile", 4.1, 4.5, True),
        ("api-smoke", "checks", 4.7, 6.7, True),
    ]
    assert targets_ran(found)["base-web"] == (0.0, 4.0)


def test_a_step_of_a_target_that_is_not_below_is_not_waited_for() -> None:
    slow = vertex("other", "copy-code /app", 100.5, 4.6)
    found = ran_steps(PLAN, [INSTALL, slow, SMOKE])
    assert [each.target for each in found if each.critical] == ["base-web", "api-smoke"]


def test_a_step_that_another_build_ran_before_is_none_of_this_one() -> None:
    buildx = vertex("", "load", 100.0, 0.1)
    before = vertex("base-web", "fetch-wheels /wheels", 92.0, 1.0)
    found = ran_steps(PLAN, [before, buildx, INSTALL])
    assert [(each.title, each.begins) for each in found] == [("install", 0.0)]


def test_a_build_of_which_nothing_ran_has_no_steps() -> None:
    assert ran_steps(PLAN, [vertex("api", "copy-code /app", 1.0, 0.0, "cached")]) == ()


def test_an_export_is_reported_in_the_parts_that_the_builder_tells() -> None:
    progress = Progress(Steps(PLAN, {}))

    def at(seconds: int) -> str:
        return f"2026-01-01T00:00:{seconds:02}Z"

    def part(id_: str, begins: int, ends: int) -> dict[str, str]:
        return {"id": id_, "vertex": "d", "started": at(begins), "completed": at(ends)}

    export = {"digest": "d", "name": "[api] exporting to image", "started": at(0)}
    every = [part("exporting layers", 0, 4), part("unpacking to x/api:staged", 5, 8)]
    list(progress.take({"vertexes": [export]}))
    more = part("exporting manifest sha256:1", 4, 4), part("naming to x/api", 4, 5)
    list(progress.take({"statuses": [*every, *more]}))
    list(progress.take({"statuses": [{"id": "exporting layers", "vertex": "unknown"}]}))
    list(progress.take({"vertexes": [{**export, "completed": at(8)}]}))
    found = ran_steps(PLAN, progress.vertices.values())
    assert [(each.part, each.begins, each.ends) for each in found] == [
        ("compress", 0.0, 4.0),
        ("write", 4.0, 5.0),
        ("unpack", 5.0, 8.0),
    ]


def test_what_a_registry_has_by_now_is_known_while_the_rest_is_built() -> None:
    progress = Progress(Steps(PLAN, {}))
    began, ended = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
    export = {"digest": "d", "name": "[base-web] exporting to image", "started": began}
    list(progress.take({"vertexes": [export]}))
    name = "pushing manifest for registry.example.com:5000/base-web:staged@sha256:1f"
    pushing = {"id": name, "vertex": "d", "started": began}
    layers = {"id": "pushing layers", "vertex": "d", "started": began, "completed": ended}
    list(progress.take({"statuses": [layers, pushing]}))
    assert progress.pushed == {}, "what it refers to is there, but not the manifest"
    list(progress.take({"statuses": [{**pushing, "completed": ended}]}))
    assert progress.pushed == {"base-web": "sha256:1f"}


def test_the_steps_of_the_last_bake_are_kept_and_shown(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert timeline(workspace) == ()
    keep_costs(workspace, {}, ran_steps(PLAN, [BESIDE]))
    found = ran_steps(PLAN, [SMOKE, CODE, INSTALL, BESIDE, vertex("api", "short", 105.0, 0.01)])
    keep_costs(workspace, {}, found)
    assert timeline(workspace) == found
    assert timeline_text(timeline(workspace), FOLDED).splitlines() == [
        "step                           part     began   took  critical",
        "base-web: install              install  0.0 s  3.0 s  *",
        "other: copy-code /app          compile  3.0 s  0.6 s",
        "api: copy-code /app            compile  3.1 s  0.4 s  *",
        "api: short                     other    3.5 s  0.0 s  *",
        "api-smoke: smoke --as-nonroot  checks   3.7 s  2.0 s  *",
        "",
        "critical path: install 3.0 s, checks 2.0 s, compile 0.4 s, other 0.0 s, waiting 0.3 s",
        "all steps, side by side: install 3.0 s, checks 2.0 s, compile 1.0 s, other 0.0 s",
    ]
    assert timeline_text((), FOLDED) == "no bake of this folder has built anything yet"


def test_a_folded_timeline_leaves_out_what_takes_a_hundredth_of_the_bake() -> None:
    steps = [
        RanStep("base", "install", "install", 0.0, 100.0, critical=True),
        *(RanStep("api", f"load {n}", "other", 0.0, n) for n in (0.01, 0.5, 0.9, 1.0)),
    ]
    shown = timeline_text(steps, FOLDED)
    assert [n for n in ("0.01", "0.5", "0.9", "1.0") if f"load {n}" in shown] == ["1.0"]
    assert "2 shorter than 1.0 s; `--wide` shows them" in shown.splitlines()
    wide = timeline_text(steps, Layout(width=0))
    assert "load 0.5" in wide and "--wide" not in wide


def test_a_timeline_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    keep_costs(workspace, {}, (RanStep("api", "x", "other", 0.0, 1.0),))
    file = tmp_path / ".slimbake/timeline.json"
    for broken in (
        "[1",
        '{"api": [0.0, 2.0]}',
        '[["api"]]',
        '[["api", "x", "y", "soon", 1, true]]',
    ):
        file.write_text(broken)
        assert timeline(workspace) == ()
