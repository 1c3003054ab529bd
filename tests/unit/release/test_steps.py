"""Which target a step belongs to, and what a build says of itself: read from two builds that were
recorded.

Two services on one base, each with a smoke, and the smoke of `two` fails; then `one` alone,
all of it cached. Recorded with buildx 0.13 and shortened: no statuses, no inputs, short digests.
The names of programs in it were changed since then, by hand.
"""

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.golden.texts import texts
from tests.unit.fleets import asks, fleet, planned, service, unlocked
from tests.unit.release.played import site

from slimbake.config.model import BaseEntry, Parity, WeightsEntry
from slimbake.docker import Bake
from slimbake.errors import BuildError, CheckError, together
from slimbake.release import bake as baking
from slimbake.release.command import BakeOptions
from slimbake.release.events import (
    BuildStep,
    Progress,
    Steps,
    Vertex,
    VertexChange,
    failure,
    title,
    transient,
)
from slimbake.render.quoting import exec_form

RECORDED = Path(__file__).parents[1] / "recorded"
PLAN = planned(
    service("one", base="files", context="one", smoke="smoke.py"),
    service("two", base="files", context="two", smoke="smoke.py"),
    bases=(BaseEntry("files", system=("media-types",)),),
)
CODE = (
    "RUN --mount=type=bind,from=inside,source=make.pyz,target=/make.pyz     "
    '--mount=type=bind,target=/inside/context     ["python", "/make.pyz", "copy-code", "/app"]'
)


def events(name: str) -> Iterator[dict[str, Any]]:
    return map(json.loads, (RECORDED / name).read_text("utf-8").splitlines())


@pytest.fixture
def steps() -> Steps:
    return Steps(PLAN, json.loads((RECORDED / "dockerfiles.json").read_text("utf-8")))


def played(steps: Steps, name: str, only: str = "") -> tuple[Progress, list[VertexChange]]:
    progress = Progress(steps, only)
    return progress, [change for event in events(name) for change in progress.take(event)]


# --- steps


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"[one-smoke stage-0 1/2] {CODE}", ("one", "copy-code /app")),
        (f"[two stage-0 1/2] {CODE}", ("two", "copy-code /app")),
        (
            "[two-smoke stage-1 1/2] COPY --from=system /out /",
            ("base-files", "COPY --from=system /out /"),
        ),
        ("[two stage-1 2/2] WORKDIR /app", ("runtime", "WORKDIR /app")),
        ("[one internal] load build context", ("one", "load build context")),
        ("[one context inside] load from client", ("one", "context inside: load from client")),
        ("[two] exporting to image", ("two", "exporting to image")),
        ("[internal] load local bake definitions", ("", "load local bake definitions")),
        ("exporting to image", ("", "exporting to image")),
    ],
)
def test_a_step_belongs_to_a_target(name: str, expected: tuple[str, str], steps: Steps) -> None:
    step = steps.step(name)
    assert (step.target, step.title) == expected


def test_a_target_that_is_built_alone_has_steps_without_its_name(steps: Steps) -> None:
    assert steps.step(f"[stage-0 1/2] {CODE}", only="one").target == "one"
    assert steps.step("[internal] load build context", only="one").title == "load build context"


def test_an_instruction_is_reported_by_its_program_or_its_text() -> None:
    assert title(CODE) == "copy-code /app"
    assert title('RUN ["python3.11", "/make.pyz", "make-runtime", "/out"]') == "make-runtime /out"
    assert title('RUN x ["python", "/check.pyz", "smoke"]') == "smoke"
    assert title("COPY  --from=x \t /a /b") == "COPY --from=x /a /b"


@given(words=st.lists(texts, min_size=1), kept=st.booleans())
@example(words=["make-folders", '/da"ta'], kept=False)
def test_a_step_with_any_arguments_has_a_title(words: list[str], kept: bool) -> None:
    instruction = f"RUN {exec_form(['python', '/make.pyz', *words])}"
    # Old versions of BuildKit resolve a backslash, as a shell would.
    name = instruction if kept else re.sub(r"\\(.)", r"\1", instruction)
    reported = title(name)
    assert reported == " ".join(words) if kept else "make.pyz" not in reported


# --- progress


def test_shared_steps_of_a_build_have_the_target_that_has_them(steps: Steps) -> None:
    progress, _ = played(steps, "failing.jsonl")
    ran = {
        (v.step.target, v.step.title.split()[0])
        for v in progress.vertices.values()
        if v.step.instruction
    }
    assert ran == {
        ("runtime", "make-runtime"),
        ("runtime", "COPY"),
        ("runtime", "WORKDIR"),
        ("base-files", "carry-debs"),
        ("base-files", "COPY"),
        ("one", "copy-code"),
        ("two", "copy-code"),
        ("one-smoke", "smoke"),
        ("two-smoke", "smoke"),
    }


def test_a_line_that_came_in_pieces_is_one_line(steps: Steps) -> None:
    _, changes = played(steps, "failing.jsonl")
    said = [each.line for each in changes if each.vertex.step.target == "one-smoke"]
    assert [line.partition(" (")[0] for line in said if line] == ["1", "smoke: import passed"]


def test_a_build_of_what_is_cached_has_no_failure_and_says_cached(steps: Steps) -> None:
    progress, _ = played(steps, "single.jsonl", only="one")
    assert progress.failed is None
    assert all(v.state != "running" and v.seconds >= 0 for v in progress.vertices.values())
    assert {v.state for v in progress.vertices.values() if v.step.instruction} == {"cached"}
    assert {v.step.target for v in progress.vertices.values() if v.step.instruction} == {
        "runtime",
        "base-files",
        "one",
    }


def event(digest: str = "d", **said: Any) -> dict[str, Any]:
    name = f"[one stage-0 1/2] {CODE}"
    return {
        "vertexes": [{"digest": digest, "name": name, "started": "2026-01-01T00:00:00Z", **said}]
    }


def log(*chunks: bytes, stream: int = 1) -> dict[str, Any]:
    data = [base64.b64encode(chunk).decode() for chunk in chunks]
    return {"logs": [{"vertex": "d", "stream": stream, "data": each} for each in data]}


def test_a_step_begins_writes_and_ends(steps: Steps) -> None:
    progress = Progress(steps)
    assert [c.vertex.state for c in progress.take(event())] == ["running"]
    assert [
        c.line for c in progress.take(log(b"one\ntwo\r\nth", "ré".encode()[:2], "ré".encode()[2:]))
    ] == ["one", "two"]
    assert [c.line for c in progress.take(log(b"error\n", stream=2))] == ["error"]
    *lines, end = progress.take(event(completed="2026-01-01T00:00:02.5Z"))
    assert [change.line for change in lines] == ["thré"]
    assert (end.vertex.state, end.vertex.seconds) == ("done", 2.5)
    assert end.vertex.log == ["one", "two", "error", "thré"]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({}, "done"),
        ({"cached": True}, "cached"),
        ({"error": "process did not complete successfully"}, "failed"),
        ({"error": "rpc error: code = Canceled desc = context canceled"}, "cancelled"),
    ],
)
def test_a_step_ends_as(said: dict[str, Any], state: str, steps: Steps) -> None:
    progress = Progress(steps)
    changes = list(progress.take(event(completed="2026-01-01T00:00:00.123456789Z", **said)))
    assert [change.vertex.state for change in changes] == [state]


def test_what_waits_or_belongs_to_no_known_step_changes_nothing(steps: Steps) -> None:
    progress = Progress(steps)
    assert list(progress.take({"vertexes": [{"digest": "d", "name": "x"}]})) == []
    assert list(progress.take(log(b"lost\n"))) == []
    assert list(progress.take({"vertexes": None, "logs": None})) == []


def test_a_step_that_was_cancelled_is_not_what_broke_the_build(steps: Steps) -> None:
    progress = Progress(steps)
    list(progress.take(event("a", completed="2026-01-01T00:00:01Z", error="context canceled")))
    list(
        progress.take(event("b", completed="2026-01-01T00:00:01Z", error="no space left on device"))
    )
    assert progress.failed is progress.vertices["b"]


def test_a_step_killed_since_another_failed_did_not_break_the_build(steps: Steps) -> None:
    progress = Progress(steps)
    list(progress.take(event("killed")))
    list(progress.take(event("broke")))
    list(progress.take(event("killed", completed="2026-01-01T00:00:01.2Z", error="exit code: 137")))
    list(progress.take(event("broke", completed="2026-01-01T00:00:01.1Z", error="exit code: 1")))
    assert progress.failed is progress.vertices["broke"]


def test_a_cache_that_is_not_there_did_not_break_the_build(steps: Steps) -> None:
    progress = Progress(steps)
    lacks = event("cache", completed="2026-01-01T00:00:01Z", error="not found")
    lacks["vertexes"][0]["name"] = "[one] importing cache manifest from 127.0.0.1:5000/one:cache"
    list(progress.take(lacks))
    assert progress.failed is None
    list(progress.take(event("broke", completed="2026-01-01T00:00:02Z", error="exit code: 1")))
    assert progress.failed is progress.vertices["broke"]


# --- failure


@pytest.fixture
def broken(steps: Steps) -> Vertex:
    """The smoke that failed in the build that was recorded."""
    progress, _ = played(steps, "failing.jsonl")
    assert progress.failed is not None
    return progress.failed


def test_a_smoke_that_fails_is_a_check_that_does_not_hold(broken: Vertex) -> None:
    assert broken.error.endswith("did not complete successfully: exit code: 1")
    assert "ValueError: the subject is broken" in broken.log and "" not in broken.log
    error, culprit = failure(PLAN, broken, "")
    assert isinstance(error, CheckError) and culprit == "two-smoke"
    assert error.message.startswith(
        "the smoke of two failed (exit code: 1); its tag stays where it was\n  "
    )
    assert error.message.endswith("  smoke: load failed")


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        (
            "ModuleNotFoundError: No module named 'six'",
            "the image has no `six`: add the package that has it to `services.two.requirements`",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/var/x'", "`tmpfs: [/var/x]`"),
        ("KeyError: 'VAULT_URL'", "`start: {env: {VAULT_URL: VALUE}}` of `services.two`"),
        (
            "OSError: libgomp.so.1: cannot open shared object file: No such file",
            "`services.two.system`; by Debian's rule for names that is `libgomp1`",
        ),
    ],
)
def test_a_smoke_names_what_it_misses(broken: Vertex, log: str, hint: str) -> None:
    broken.log += (log, "smoke: import failed")
    assert hint in failure(PLAN, broken, "")[0].hint


def test_a_step_of_a_service_names_the_module_that_it_misses(broken: Vertex) -> None:
    broken.step = replace(broken.step, target="two", title="run-step -- python -m pip")
    broken.log.append("/opt/slimbake/bin/python: No module named pip")
    error, culprit = failure(PLAN, broken, "")
    assert isinstance(error, BuildError) and culprit == "two"
    assert error.message.startswith("two does not build: run-step -- python -m pip: exit code: 1")
    assert "the image has no `pip`: add the package that has it to `services.two" in error.hint


def test_each_of_several_failures_says_what_to_do_about_it(broken: Vertex) -> None:
    other = BuildError("one does not build", "fix it")
    broken.log.append("ModuleNotFoundError: No module named 'six'")
    error = together([other, failure(PLAN, broken, "")[0]])
    assert error.message.startswith("one does not build\n  fix it\nthe smoke of two failed")
    assert "\n  the image has no `six`: add the package that has it to `services.two" in str(error)


MEASURED = planned(
    service(
        "embed",
        base="ml",
        requirements=asks("six"),
        weights=WeightsEntry("package", "some-model"),
        inference="onnx",
        parity=Parity("parity.py", "texts.jsonl"),
    ),
    bases=(BaseEntry("ml", requirements=asks("torch")),),
)
LOST = ("lost: a.py of a 1 in base-ml-onnx: it is not", "inventory of base-ml-onnx")
OF_BASE = "the inventory of base-ml-onnx failed (exit code: 1); no tag has moved\n  " + "\n  ".join(
    LOST
)


@pytest.mark.parametrize(
    ("target", "log", "kind", "culprit", "message"),
    [
        (
            "embed-parity",
            ["parity: worst"],
            CheckError,
            "embed-parity",
            "the parity of embed failed (exit code: 1); its tag stays where it was\n  parity: worst",
        ),
        ("base-ml-onnx-inventory", [*LOST], CheckError, "base-ml-onnx-inventory", OF_BASE),
        ("embed-inventory", [*LOST], CheckError, "base-ml-onnx-inventory", OF_BASE),
        (
            "layer_base-ml",
            ["slimbake: files of packages are lost", "lost: a.py of a 1"],
            CheckError,
            "layer_base-ml",
            "layer_base-ml has lost files of packages; no tag has moved",
        ),
        (
            "reference-some-model-texts",
            ["parity: refused"],
            BuildError,
            "reference-some-model-texts",
            "parity: refused",
        ),
    ],
)
def test_a_check_that_fails_is_of_the_image_that_it_names(
    target: str, log: list[str], kind: type[Exception], culprit: str, message: str
) -> None:
    error = 'process "python" did not complete successfully: exit code: 1'
    vertex = Vertex(BuildStep(target, target, "RUN"), "failed", error=error, log=log)
    found, whose = failure(MEASURED, vertex, "")
    assert isinstance(found, kind) and whose == culprit
    assert message in found.message


def test_a_step_of_a_layer_is_that_of_the_layer_whose_argument_it_has() -> None:
    made = planned(*(service(name, requirements=asks(name)) for name in ("one", "two")))
    path = made.target("layer_one").dockerfile
    text = "ARG LAYER\nRUN --mount=source=layers/${LAYER}.json make-layer\n"
    name = "[two stage-1 1/1] RUN --mount=source=layers/layer_two.json make-layer"
    assert Steps(made, {path: text}).step(name).target == "layer_two"


def test_what_a_smoke_warns_of_names_its_service(steps: Steps) -> None:
    line = b"slimbake: warning: a start spends 9% of its time\n"
    vertex = {"digest": "sha256:1", "name": "[one-smoke stage-0 1/1] RUN smoke"}
    vertex["started"] = "2024-01-01T00:00:00Z"
    log = {"vertex": "sha256:1", "data": base64.b64encode(line * 2).decode()}
    running = SimpleNamespace(events=lambda: [{"vertexes": [vertex]}, {"logs": [log]}])
    shown = SimpleNamespace(take=lambda _: None)
    warnings = baking._follow(PLAN, running, Progress(steps), shown)  # type: ignore[arg-type]
    assert warnings == ["warning: services.one: a start spends 9% of its time"]


def test_a_shared_step_that_fails_is_the_fault_of_the_target_that_has_it(steps: Steps) -> None:
    vertex = Vertex(
        steps.step("[two-smoke stage-1 1/2] COPY --from=system /out /"),
        "failed",
        error="no space left on device",
    )
    error, culprit = failure(PLAN, vertex, "")
    assert isinstance(error, BuildError) and culprit == "base-files"
    assert "`slimbake prune`" in error.hint


@pytest.mark.parametrize(
    "words",
    [
        "write /data: no space left on device",
        "OSError: [Errno 28] No space left on device: '/out'",
        "unsupported diff media type: application/vnd.oci.image.layer.v1.tar+zstd: not implemented",
    ],
)
def test_a_full_disk_is_named_however_the_builder_puts_it(words: str, steps: Steps) -> None:
    step = steps.step("[two-smoke stage-1 1/2] COPY --from=system /out /")
    for vertex in (Vertex(step, "failed", error=words), Vertex(step, "failed", log=[words])):
        error, _ = failure(PLAN, vertex, "")
        assert "`slimbake doctor` shows the disk" in error.hint


PRUNED = (
    'failed to prepare extraction snapshot "extract-1-x sha256:ab": parent snapshot sha256:cd0123'
    " does not exist: not found"
)


def test_a_layer_that_was_pruned_meanwhile_is_built_by_another_run(steps: Steps) -> None:
    step = steps.step("[two-smoke stage-1 1/2] COPY --from=system /out /")
    error, _ = failure(PLAN, Vertex(step, "failed", error=PRUNED), "")
    assert error.hint.endswith("as when `prune` runs meanwhile: run it again")


def test_words_of_buildx_alone_are_no_target_s_fault() -> None:
    error, culprit = failure(
        PLAN, Vertex(BuildStep("", "bake", ""), "failed"), "ERROR: no such host\n"
    )
    assert (error.message, culprit) == ("buildx failed\nERROR: no such host", "")


# --- the stream


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that writes what the file holds to stderr and fails."""
    fake, text = tmp_path / "bin/docker", tmp_path / "text"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ncat '{text}' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return text


def test_the_last_words_of_buildx_stand_behind_the_events(says: Path, tmp_path: Path) -> None:
    says.write_text((RECORDED / "raw.txt").read_text("utf-8"))
    bake = Bake([], tmp_path, {})
    found = list(bake.events())
    assert [next(iter(event)) for event in found] == ["vertexes", "logs", "logs", "vertexes"]
    assert bake.code == 3
    assert bake.text.startswith("smoke.Dockerfile:8\n--------------------\n")
    assert bake.text.endswith("did not complete successfully: exit code: 1\n")


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("ERROR: failed to solve: DeadlineExceeded: context deadline exceeded", True),
        (
            "ERROR: failed to solve: DeadlineExceeded: failed to send write: context deadline "
            "exceeded",
            True,
        ),
        ("ERROR: no active session for t2a: context canceled", True),
        ("ERROR: NotFound: forwarding Ping: no such job 5pefubod3z0w7aqwgxex743f8", True),
        ('ERROR: Get "http://docker/version": context canceled: driver not connecting', True),
        (f"ERROR: {PRUNED}", True),
        ("pip: ReadTimeoutError: deadline exceeded", False),
        ("google.api_core.exceptions.DeadlineExceeded: 504 Deadline Exceeded", False),
    ],
)
def test_a_busy_engine_is_asked_again_and_a_broken_step_is_not(text: str, again: bool) -> None:
    assert transient(Vertex(BuildStep("", "bake", ""), "failed"), text) is again


@pytest.mark.parametrize("failures", [2, 3])
def test_what_the_builder_gave_up_is_built_again(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    said: list[str] = []
    built: list[tuple[str, ...]] = []
    words = "ERROR: failed to solve: DeadlineExceeded: context deadline exceeded"
    vertex = Vertex(BuildStep("", "bake", ""), "failed", error=f"the daemon gave up:\n{words}")
    broken = baking._Run({}, vertex, f"#1 building\n{words}\n", frozenset({"runtime"}))
    ended = baking._Run({"one": ("sha256:1",)}, None, "", frozenset({"one"}))

    def build(*given: Any, **_: Any) -> baking._Run:
        built.append(given[-1])
        return broken if len(built) <= failures else ended

    monkeypatch.setattr(baking, "_build", build)
    monkeypatch.setattr("slimbake.release.bake.time.sleep", pauses.append)
    planned = unlocked(fleet(service("one", smoke="smoke.py")))
    done = baking.bake(site(planned, said), ("one",), BakeOptions())
    assert done.digests == {"one": ("sha256:1",)}
    assert done.ran == {"runtime", "one"}, "also what ran before it gave up"
    assert pauses == [2.0, 15.0, 60.0][:failures]
    assert said == [
        f"the builder gave up, as one that is busy; again in {seconds:.0f} s: {words}"
        for seconds in pauses
    ]
    both = ("one", "one-smoke")
    if failures < 3:
        assert built == [both] * 3
    else:
        assert built == [both, both, both, ("one",), ("one-smoke",), both], "each alone at last"
