"""Evidence: what is written and read, when it answers no more, and what layers carry because of it."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.build.bake import BakeResult
from slimbake.build.command import BakeOptions
from slimbake.build.place import Built
from slimbake.build.site import Site, regenerated
from slimbake.build.warm import write_lists
from slimbake.catalogue.model import Pass
from slimbake.catalogue.read import catalogue, shipped
from slimbake.config.naming import WARM
from slimbake.console import QUIET, Console
from slimbake.errors import NothingSelected, StaleFiles, UsageError
from slimbake.evidence import committed
from slimbake.evidence.compilers import compilers
from slimbake.evidence.model import (
    Evidence,
    Finding,
    Question,
    parse_evidence,
    saves,
    stale_evidence,
)
from slimbake.evidence.selection import LayerAnswer, selected
from slimbake.inside import zipapp
from slimbake.project import Project, load, planned_for, reread
from slimbake.proof import images as measuring
from slimbake.proof import prove as proving
from slimbake.proof.layers import (
    Choice,
    ProvenLayer,
    Work,
    carried_layer,
    expect_nothing_lost,
    work_of,
)
from slimbake.proof.prove import layers_of
from slimbake.proof.subjects import Workbench
from slimbake.proof.trial import Subject
from slimbake.render import pruned

ROOT = Path(__file__).parents[3]
HEADERS = Pass(name="torch.headers", about="", why="", costs="", remove=("torch/include/**",))
FINDING = Finding(digest=HEADERS.digest, verdict="proven", files=3, bytes=100, zstd=20)
EVIDENCE = Evidence(
    layer="base-ml",
    platform="linux/amd64",
    inputs="sha256:1",
    unpruned="sha256:2",
    checks={"api": "sha256:3", "embed": "sha256:4"},
    passes={"torch.headers": FINDING},
)
QUESTION = Question(
    layer="base-ml",
    pins=(("torch", "2"),),
    inputs="sha256:1",
    platform="linux/amd64",
    checks={"api": "sha256:3", "embed": "sha256:4"},
)

# --- the file

WORDS = st.text(max_size=8)
COUNT = st.integers(-9, 9)
FINDINGS = st.builds(
    Finding,
    digest=st.text(min_size=1),
    verdict=st.sampled_from(["proven", "refuted", "idle"]),
    files=COUNT,
    bytes=COUNT,
    zstd=COUNT,
    marginal=st.none() | COUNT,
    service=WORDS,
    level=WORDS,
    error=WORDS,
)


@given(
    st.builds(
        Evidence,
        layer=WORDS,
        platform=WORDS,
        inputs=WORDS,
        unpruned=WORDS,
        checks=st.dictionaries(WORDS, WORDS, max_size=2),
        passes=st.dictionaries(WORDS, FINDINGS, max_size=3),
    )
)
def test_all_that_was_found_out_is_read_again(evidence: Evidence) -> None:
    assert parse_evidence(evidence.text()) == evidence


def test_a_pass_is_a_line_and_what_is_not_known_is_not_written() -> None:
    other = replace(FINDING, verdict="refuted", service="api", level="load", error="no\nfile")
    text = replace(EVIDENCE, passes={"z": FINDING, "a": other}).text()
    assert [line.strip().partition(":")[0] for line in text.splitlines()[-2:]] == ['"a"', '"z"']
    assert json.loads(text)["passes"]["z"].keys() == {"digest", "verdict", "files", "bytes", "zstd"}
    assert text == replace(EVIDENCE, passes={"a": other, "z": FINDING}).text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        "{}",
        '{"format": 1}',
        '{"format": 1, "passes": {}}',
        EVIDENCE.text().replace('"format": 1', '"format": 2'),
        EVIDENCE.text().replace('"verdict"', '"judgement"'),
        EVIDENCE.text().replace('"inputs"', '"outputs"'),
        EVIDENCE.text().replace('"passes": {', '"passes": {"x": 3, '),
    ],
)
def test_what_is_no_evidence_proves_nothing(text: str) -> None:
    assert parse_evidence(text) is None


def test_only_what_is_proven_saves() -> None:
    found = [FINDING, replace(FINDING, bytes=7, zstd=1), replace(FINDING, verdict="refuted")]
    assert saves(found) == (107, 21)


# --- stale


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (QUESTION, ""),
        (replace(QUESTION, checks={"api": "sha256:3"}), ""),
        (replace(QUESTION, inputs="sha256:9"), "its packages are others now"),
        (
            replace(QUESTION, platform="linux/arm64"),
            "it was tried for linux/amd64, not for linux/arm64",
        ),
        (
            replace(QUESTION, checks={"api": "sha256:9", "embed": "sha256:4"}),
            "the check of api has changed",
        ),
        (
            replace(QUESTION, checks={"api": "sha256:3", "new": "x", "embed": "x"}),
            "new is new, and was not tried with it",
        ),
    ],
)
def test_evidence_answers_until_what_it_depends_on_changes(question: Question, why: str) -> None:
    assert stale_evidence(question, EVIDENCE, HEADERS) == why


def test_a_pass_that_does_something_else_now_is_stale_and_one_that_says_something_else_is_not() -> (
    None
):
    assert (
        stale_evidence(QUESTION, EVIDENCE, replace(HEADERS, keep=("torch/include/x.h",)))
        == "the pass has changed"
    )
    assert (
        stale_evidence(
            QUESTION, EVIDENCE, replace(HEADERS, about="other", why="words", costs="nothing")
        )
        == ""
    )
    assert (
        stale_evidence(QUESTION, EVIDENCE, replace(HEADERS, name="torch.new"))
        == "it was never tried"
    )


PINNED = replace(
    QUESTION,
    python="3.11",
    pins=(("numpy", "2"), ("torch", "2")),
    stack=(("anyio", "4"), ("numpy", "2"), ("sympy", "1"), ("torch", "2")),
    needs=(("torch", "sympy"), ("sympy", "torch")),
)
OF_TORCH = replace(HEADERS, packages=(("torch", ""),))


@pytest.mark.parametrize(
    ("stack", "fresh"),
    [
        ((("anyio", "5"), ("numpy", "3"), ("sympy", "1"), ("torch", "2")), True),
        ((("anyio", "4"), ("numpy", "2"), ("sympy", "2"), ("torch", "2")), False),
        ((("anyio", "4"), ("numpy", "2"), ("sympy", "1"), ("torch", "3")), False),
    ],
    ids=["another package", "what it requires", "its own"],
)
def test_evidence_of_a_package_asks_about_that_package_and_what_it_requires(
    stack: tuple[tuple[str, str], ...], fresh: bool
) -> None:
    found = replace(FINDING, digest=OF_TORCH.digest, inputs=PINNED.depends(OF_TORCH))
    evidence = replace(EVIDENCE, passes={"torch.headers": found})
    now = replace(PINNED, stack=stack, inputs="sha256:9")
    assert (stale_evidence(now, evidence, OF_TORCH) == "") is fresh
    of_all = replace(FINDING, inputs=PINNED.depends(HEADERS))
    assert stale_evidence(now, replace(EVIDENCE, passes={"torch.headers": of_all}), HEADERS) == (
        "its packages are others now"
    )


# --- what layers carry

OWN = """\
passes:
  thing.data: {about: a, why: b, packages: {thing: ""}, remove: [thing/data/**]}
  thing.docs: {about: a, why: b, packages: {thing: ""}, remove: [thing/docs/**]}
  other.data: {about: a, why: b, packages: {other: ""}, remove: [other/data/**]}
"""
FLEET = """\
project: toys
python: "3.11"
optimize: observed
bases:
  web: {requirements: [thing]}
services:
  api: {context: api, base: web, requirements: [other], smoke: smoke.py, platforms: [linux/amd64]}
  job: {context: job, base: web, smoke: smoke.py, platforms: [linux/amd64]}
"""
HALF = (
    "proven for linux/amd64; linux/arm64 is missing: run `slimbake prove --platform linux/arm64`"
    " on such a machine"
)
CARRIED = {"base-web": ("thing.data", "thing.docs"), "api": ("other.data",)}
Edit = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fleet whose passes are proven, and refuted, as it is on disk."""
    files = {
        "services.yaml": FLEET,
        "passes.yaml": OWN,
        "api/app.py": "",
        "api/smoke.py": "def load(): ...\n",
        "job/smoke.py": "def load(): ...\n",
        "bake/locks/base-web.txt": "thing==1\n",
        "bake/locks/api.txt": "other==2\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    prove(tmp_path, "thing.data", "thing.docs", "other.data")
    return tmp_path


def project_in(root: Path) -> Project:
    return load(root / "services.yaml")


def answers(root: Path) -> tuple[LayerAnswer, ...]:
    return project_in(root).evidence.answers


def prove(root: Path, *names: str, platform: str = "linux/amd64", others: str = "refuted") -> None:
    """Write evidence, as if these passes had held on every layer now and all others had been
    refuted.
    """
    (root / "bake/evidence").mkdir(exist_ok=True)
    every = [answer.question for answer in answers(root)]
    for question in [each for each in every if each.platform == platform]:
        passes = {
            each.name: Finding(
                digest=each.digest,
                verdict="proven" if each.name in names else others,  # type: ignore[arg-type]
                files=1,
                bytes=1,
                zstd=1,
            )
            for each in catalogue(root)
            if each.applied(question.pins) and each not in shipped()
        }
        found = Evidence(
            layer=question.layer,
            platform=platform,
            inputs=question.inputs,
            unpruned="",
            checks=question.checks,
            passes=passes,
        )
        (root / "bake/evidence" / question.files[0]).write_text(found.text())


def put(path: str, old: str, new: str) -> Edit:
    def edit(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new, 1))

    return edit


def carries(root: Path) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """What layers carry of the passes of OWN, and what they lost."""
    found, own = project_in(root).evidence, {each.name for each in shipped()}
    carried = {
        layer: tuple(each.name for each in passes if each.name not in own)
        for layer, passes in found.passes.items()
    }
    return {layer: names for layer, names in carried.items() if names}, [*map(str, found.dropped)]


def test_what_is_proven_is_carried_by_name_and_what_is_refuted_is_not(root: Path) -> None:
    assert carries(root) == (CARRIED, [])


def test_a_target_carries_what_its_own_layer_does(root: Path) -> None:
    decided = project_in(root).plan
    recipes = {target.name: target.recipe for target in decided.targets}
    reported = {
        name: recipe.install.passes for name, recipe in recipes.items() if recipe and recipe.install
    }
    assert {
        n: tuple(e.name for e in reported[n] if e.name in CARRIED[n]) for n in CARRIED
    } == CARRIED
    assert {each.packages for each in reported["api"]} == {("other",)}


@pytest.mark.parametrize(
    "edit",
    [
        lambda root: (root / "api/app.py").write_text("other = 'code'\n"),
        lambda root: (root / "api/new.py").write_text(""),
        put("services.yaml", "project: toys", "project: games"),
        put("services.yaml", "smoke: smoke.py,", "smoke: smoke.py, port: 8000, env: {A: b},"),
        put("passes.yaml", "about: a", "about: in other words"),
    ],
)
def test_an_edit_of_what_no_pass_can_break_leaves_evidence_fresh(edit: Edit, root: Path) -> None:
    edit(root)
    assert carries(root) == (CARRIED, [])


@pytest.mark.parametrize(
    ("edit", "left", "dropped"),
    [
        (
            put("bake/locks/api.txt", "other==2", "other==3"),
            {},
            [
                "thing.data on base-web: the check of api has changed",
                "thing.docs on base-web: the check of api has changed",
                "other.data on api: its packages are others now",
            ],
        ),
        (
            put("bake/locks/base-web.txt", "thing==1", "thing==2"),
            {},
            [
                "thing.data on base-web: its packages are others now",
                "thing.docs on base-web: its packages are others now",
                "other.data on api: its packages are others now",
            ],
        ),
        (
            lambda root: (root / "bake/locks/base-web.system.txt").write_text(
                "libgomp1 14 amd64 f 1 x\n"
            ),
            {},
            [
                "thing.data on base-web: its packages are others now",
                "thing.docs on base-web: its packages are others now",
                "other.data on api: its packages are others now",
            ],
        ),
        (
            lambda root: (root / "bake/locks/job.system.txt").write_text(
                "libgomp1 14 amd64 f 1 x\n"
            ),
            {"api": ("other.data",)},
            [
                "thing.data on base-web: the check of job has changed",
                "thing.docs on base-web: the check of job has changed",
            ],
        ),
        (
            put("job/smoke.py", "load", "imports"),
            {"api": ("other.data",)},
            [
                "thing.data on base-web: the check of job has changed",
                "thing.docs on base-web: the check of job has changed",
            ],
        ),
        (
            lambda root: (root / "job/reference.json").write_text("[1]"),
            {"api": ("other.data",)},
            [
                "thing.data on base-web: the check of job has changed",
                "thing.docs on base-web: the check of job has changed",
            ],
        ),
        (
            put("passes.yaml", "thing/data/**", "thing/data/*"),
            {"base-web": ("thing.docs",), "api": ("other.data",)},
            ["thing.data on base-web: the pass has changed"],
        ),
        (
            put("services.yaml", "linux/amd64]", "linux/arm64]"),
            {},
            [
                f"thing.data on base-web: {HALF}",
                f"thing.docs on base-web: {HALF}",
                "other.data on api: it was tried for linux/amd64, not for linux/arm64",
            ],
        ),
        (
            put("services.yaml", "base: web, smoke: smoke.py, platforms", "base: web, platforms"),
            {"api": ("other.data",)},
            [
                "thing.data on base-web: no smoke: job",
                "thing.docs on base-web: no smoke: job",
            ],
        ),
        (
            lambda root: (root / "bake/evidence/api.json").unlink(),
            {"base-web": ("thing.data", "thing.docs")},
            [],
        ),
    ],
    ids=[
        "lock",
        "lock below",
        "system below",
        "system of a service",
        "smoke",
        "reference",
        "pass",
        "platform",
        "no smoke",
        "removed",
    ],
)
def test_what_has_no_fresh_evidence_is_not_carried(
    edit: Edit, left: dict[str, tuple[str, ...]], dropped: list[str], root: Path
) -> None:
    edit(root)
    assert carries(root) == (left, dropped)


@pytest.mark.parametrize(
    ("service", "changes"),
    [("embedding-onnx", True), ("hybrid-onnx", True), ("embedding", False), ("api", False)],
)
def test_a_check_of_an_exported_model_asks_again_where_another_program_exports(
    service: str, changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> str:
        every = (answer.question.checks for answer in answers(ROOT))
        return next(found[service] for found in every if service in found)

    before = check()
    monkeypatch.setattr("slimbake.evidence.zipapp", lambda kind: zipapp(kind) + b"x")
    assert (check() != before) is changes


@pytest.mark.parametrize(
    ("edit", "left"),
    [
        (put("services.yaml", "optimize: observed", "optimize: none"), {}),
        (
            put(
                "services.yaml",
                "optimize: observed",
                "optimize: {level: observed, without: [thing.data, other.data]}",
            ),
            {"base-web": ("thing.docs",)},
        ),
        (put("services.yaml", "[thing]", "[thing], optimize: none"), {"api": ("other.data",)}),
        (
            put("services.yaml", "[thing]", "[thing], optimize: {without: [thing.docs]}"),
            {"base-web": ("thing.data",), "api": ("other.data",)},
        ),
        (
            put(
                "services.yaml", "[other]", "[other], optimize: {without: [thing.docs, other.data]}"
            ),
            {"base-web": ("thing.data", "thing.docs")},
        ),
        (put("services.yaml", "optimize: observed", "optimize: {level: observed}"), CARRIED),
        (
            put(
                "services.yaml", "optimize: observed", "optimize: {level: observed, explain: false}"
            ),
            CARRIED,
        ),
    ],
    ids=["none", "without", "base none", "base without", "service without", "proven", "explain"],
)
def test_what_the_manifest_does_not_want_is_not_carried_and_nobody_is_warned(
    edit: Edit, left: dict[str, tuple[str, ...]], root: Path
) -> None:
    edit(root)
    assert carries(root) == (left, [])


def test_a_pass_to_be_left_out_that_does_not_exist_is_a_mistake(root: Path) -> None:
    put("services.yaml", "[other]", "[other], optimize: {without: [thing.dta]}")(root)
    with pytest.raises(UsageError) as caught:
        carries(root)
    assert (
        caught.value.message == "services.yaml: `optimize` leaves out 'thing.dta', which is no pass"
    )
    assert caught.value.hint == "did you mean 'thing.data'?"


STRIPS = """\
passes:
  strip.debug: {about: a, why: b, guarantee: lossless, strip: debug}
  strip.unneeded: {about: a, why: b, guarantee: lossless, strip: unneeded}
"""


@pytest.mark.parametrize(
    ("debug", "unneeded", "left"),
    [
        ("strip: debug", "strip: unneeded", ("strip.unneeded",)),
        ("strip: debug, keep: [a, b]", "strip: unneeded, keep: [a]", ("strip.unneeded",)),
        ("strip: debug", "strip: unneeded, keep: [a]", ("strip.debug", "strip.unneeded")),
        (
            "strip: debug",
            'strip: unneeded, packages: {thing: ""}',
            ("strip.debug", "strip.unneeded"),
        ),
        ('strip: debug, packages: {thing: ""}', "strip: unneeded", ("strip.unneeded",)),
    ],
)
def test_who_strips_more_strips_alone_where_nothing_else_is_lost(
    debug: str, unneeded: str, left: tuple[str, ...], root: Path
) -> None:
    text = STRIPS.replace("strip: debug", debug).replace("strip: unneeded", unneeded)
    (root / "passes.yaml").write_text(text)
    (root / "bake/locks/base-web.txt").write_text("more==1\nthing==1\n")
    assert strips(root) == left


def test_without_the_stronger_one_the_weaker_strips(root: Path) -> None:
    put("services.yaml", "[thing]", "[thing], optimize: {without: [strip.unneeded]}")(root)
    assert strips(root) == ("strip.debug",)


def strips(root: Path) -> tuple[str, ...]:
    carried = project_in(root).evidence.passes["base-web"]
    return tuple(each.name for each in carried if each.strip)


# --- what needs no evidence


def test_layers_that_carry_the_same_share_it(tmp_path: Path) -> None:
    services = "".join(f"  {name}: {{context: ., requirements: [thing]}}\n" for name in "ab")
    text = f'project: toys\npython: "3.11"\nservices:\n{services}'
    (tmp_path / "services.yaml").write_text(text)
    (tmp_path / "bake/locks").mkdir(parents=True)
    for name in "ab":
        (tmp_path / f"bake/locks/{name}.txt").write_text("thing==1\n")
    found = project_in(tmp_path).evidence.passes
    assert found["a"] and found["a"] is found["b"]


def unproven(root: Path) -> dict[str, set[str]]:
    """What layers carry where nobody has proven anything."""
    shutil.rmtree(root / "bake/evidence")
    found = project_in(root).evidence
    assert found.dropped == ()
    return {layer: {each.name for each in passes} for layer, passes in found.passes.items()}


ALWAYS = {"strip.unneeded", "files.documentation", "files.test-data", "files.windows"}
COMPILED = {"files.cmake", "files.sources", "files.static-libraries"}


@pytest.mark.parametrize("level", ["lossless", "narrowed", "observed"])
def test_a_new_repository_carries_what_loses_nothing_or_what_no_image_can_use(
    level: str, root: Path
) -> None:
    put("services.yaml", "optimize: observed", f"optimize: {level}")(root)
    put("services.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")(root)
    put("services.yaml", ", smoke: smoke.py", "")(root)
    assert unproven(root) == {"base-web": ALWAYS | COMPILED, "api": ALWAYS | COMPILED}


@pytest.mark.parametrize("optimize", ["observed", "narrowed", "{without: [files.windows]}"])
def test_a_layer_without_evidence_carries_what_evidence_that_says_nothing_would_leave_it(
    optimize: str, root: Path
) -> None:
    put("services.yaml", "optimize: observed", f"optimize: {optimize}")(root)
    shutil.rmtree(root / "bake/evidence")
    found = project_in(root).evidence
    asked = {answers[0].question.layer: answers for answers in found.layers}
    assert found.passes == {
        layer: selected(answers, found.catalogue)[0] for layer, answers in asked.items()
    }
    assert found.passes.keys() == {"base-web", "api"}


@pytest.mark.parametrize(
    ("edit", "layers"),
    [
        (lambda root: (root / "bake/locks/api.txt").write_text("nvidia-cuda-nvrtc==13\n"), "both"),
        (lambda root: (root / "bake/locks/job.txt").write_text("ziglang==0.15\n"), "base"),
        (
            put("services.yaml", "{context: job,", "{context: job, dockerfile: job/smoke.py,"),
            "base",
        ),
    ],
    ids=["wheel", "service", "dockerfile"],
)
def test_where_an_image_may_compile_headers_stay_in_all_that_it_stands_on(
    edit: Edit, layers: str, root: Path
) -> None:
    edit(root)
    found = unproven(root)
    assert found["base-web"] == ALWAYS
    assert found["api"] == (ALWAYS if layers == "both" else ALWAYS | COMPILED)


@pytest.mark.parametrize(
    ("name", "compiles"),
    [
        ("gcc-14", True),
        ("g++", True),
        ("x86-64-linux-gnu-gcc-14", True),
        ("clang-19", True),
        ("libclang-cpp19", True),
        ("nvidia-cuda-nvcc-cu12", True),
        ("nvidia-cuda-nvrtc", True),
        ("ziglang", True),
        ("pyopencl", True),
        ("build-essential", True),
        ("gcc-14-base", False),
        ("libgcc-s1", False),
        ("accelerate", False),
        ("tcconfig", False),
        ("numpy", False),
        ("torch", False),
    ],
)
def test_a_compiler_is_known_by_its_name(name: str, compiles: bool) -> None:
    assert bool(compilers([name, "other"])) is compiles


def test_a_pass_that_a_check_refutes_is_left_out_and_reported(root: Path) -> None:
    put("passes.yaml", "about: a,", "about: a, guarantee: narrowed, unusable: [unread], costs: c,")(
        root
    )
    assert carries(root) == (CARRIED, [])
    prove(root, "thing.docs", "other.data")
    kept = {"base-web": ("thing.docs",), "api": ("other.data",)}
    assert carries(root) == (kept, ["thing.data on base-web: it fails at "])


# --- before a build


def test_a_bake_says_what_is_not_carried_any_more_and_goes_on(root: Path) -> None:
    project = project_in(root)
    said: list[str] = []
    regenerated(project, Console(said.append))
    assert [line for line in said if "lost" in line] == []
    put("job/smoke.py", "load", "imports")(root)
    said.clear()
    decided = regenerated(reread(project), Console(said.append)).plan
    assert [line for line in said if "lost" in line] == [
        "base-web lost thing.data, thing.docs (up to 0.0 MB): the check of job has changed;"
        " `slimbake prove --stale` renews it"
    ]
    assert {
        each["name"]
        for each in json.loads((root / "bake/dockerfiles/passes/base-web.json").read_text())[
            "passes"
        ]
    }.isdisjoint(CARRIED["base-web"])
    assert decided == project_in(root).plan


def test_a_bake_removes_the_warm_lists_of_layers_that_are_gone(root: Path) -> None:
    write_lists(root, {"base-web": ("thing.py",), "api": ("other.py",)})
    regenerated(project_in(root), QUIET)
    write_lists(root, {"gone": ()})
    regenerated(project_in(root), QUIET, frozen=True)
    assert (root / WARM / "gone.txt").is_file()
    said: list[str] = []
    regenerated(project_in(root), Console(said.append))
    assert sorted(file.name for file in (root / WARM).iterdir()) == ["api.txt", "base-web.txt"]
    assert [line for line in said if "removed" in line] == [
        f"{WARM}/gone.txt is removed: no layer has a cold store of that name"
    ]


def test_a_frozen_bake_goes_on_where_passes_are_lost(root: Path) -> None:
    regenerated(project_in(root), QUIET)
    put("job/smoke.py", "load", "imports")(root)
    regenerated(project_in(root), QUIET)
    said: list[str] = []
    regenerated(project_in(root), Console(said.append), frozen=True)
    assert "base-web lost thing.data, thing.docs" in "\n".join(said)


def test_a_pipeline_that_wants_it_fails_on_stale_evidence(root: Path) -> None:
    put("services.yaml", "optimize: observed", "optimize: observed\nci: {stale: fail}")(root)
    project = project_in(root)
    regenerated(project, QUIET)
    generated = (root / "bake/dockerfiles/passes/base-web.json").read_text()
    put("job/smoke.py", "load", "imports")(root)
    with pytest.raises(StaleFiles) as caught:
        regenerated(reread(project), QUIET, frozen=True)
    assert caught.value.exit_code == 4
    assert caught.value.message.splitlines() == [
        "layers lost passes",
        "  base-web lost thing.data, thing.docs (up to 0.0 MB): the check of job has changed;"
        " `slimbake prove --stale` renews it",
    ]
    assert caught.value.hint == "or say `ci: {stale: drop}`"
    assert (root / "bake/dockerfiles/passes/base-web.json").read_text() == generated


@pytest.mark.parametrize("content", ["{}", "<<<<<<< HEAD\n{}", '{"format": 99}'])
def test_a_file_that_is_no_evidence_is_an_error_and_not_as_if_nothing_was_ever_proven(
    root: Path, content: str
) -> None:
    (root / "bake/evidence/base-web.json").write_text(content)
    with pytest.raises(
        UsageError, match=r"bake/evidence/base-web\.json cannot be read as evidence"
    ) as caught:
        carries(root)
    assert "`slimbake prove`" in caught.value.hint


def test_evidence_of_a_layer_that_is_to_carry_nothing_is_not_read(root: Path) -> None:
    put("services.yaml", "[thing]", "[thing], optimize: none")(root)
    (root / "bake/evidence/base-web.json").write_text("{}")
    assert carries(root) == ({"api": ("other.data",)}, [])


def test_evidence_that_is_not_there_is_none(root: Path) -> None:
    question = next(each.question for each in answers(root) if each.question.layer == "api")
    assert committed(root, replace(question, layer="nowhere")) is None
    assert (found := committed(root, question)) and found.passes["other.data"].verdict == "proven"


# --- what can be asked


def layers(
    root: Path, *services: str, every: bool, platform: str = "linux/amd64"
) -> tuple[list[str], list[str]]:
    said: list[str] = []
    project = project_in(root)
    found = layers_of(project, services, Console(said.append), every=every, platform=platform)
    assert {answer.question.platform for answer in found} == {platform}
    return [answer.question.layer for answer in found], said


def test_a_layer_with_a_service_that_has_no_smoke_is_left_out_unless_it_is_named(
    root: Path,
) -> None:
    put("services.yaml", "base: web, smoke: smoke.py, platforms", "base: web, platforms")(root)
    expected = "base-web: left out: no smoke: job"
    assert layers(root, "api", "job", every=True) == (["api"], [expected])
    with pytest.raises(UsageError, match="base-web: no smoke: job"):
        layers(root, "api", every=False)


def test_a_layer_is_asked_about_the_platform_that_is_tried_and_the_services_that_run_on_it(
    root: Path,
) -> None:
    assert layers(root, "api", every=False)[0] == ["base-web", "api"]
    put("services.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")(root)
    assert layers(root, "api", "job", every=True) == (["base-web", "api"], [])
    other = layers(root, "api", "job", every=True, platform="linux/arm64")
    assert other == (["base-web", "api"], [])
    found = project_in(root).evidence.layers[0]
    assert [[*each.question.checks] for each in found] == [["api", "job"], ["api"]]


def test_a_layer_that_is_not_built_for_the_platform_is_left_out_unless_it_is_named(
    root: Path,
) -> None:
    put("services.yaml", "platforms: [linux/amd64]", "platforms: [linux/arm64]")(root)
    why = "it is built for linux/arm64, not for linux/amd64"
    said = [f"api: left out: {why}"]
    assert layers(root, "api", "job", every=True) == (["base-web"], said)
    with pytest.raises(UsageError, match=f"base-web: {why}") as no:
        layers(root, "api", every=False)
    assert "`slimbake prove --platform linux/arm64`" in no.value.hint
    with pytest.raises(NothingSelected):
        layers(root, "api", every=True)


# --- layers for several platforms

BOTH = "[linux/amd64, linux/arm64]"


@pytest.fixture
def both(root: Path) -> Path:
    """The fleet for two platforms, proven for one of them before there was another."""
    for _ in range(2):
        put("services.yaml", "platforms: [linux/amd64]", f"platforms: {BOTH}")(root)
    return root


def test_a_pass_is_carried_once_it_is_proven_for_every_platform(both: Path) -> None:
    lost = [
        f"thing.data on base-web: {HALF}",
        f"thing.docs on base-web: {HALF}",
        f"other.data on api: {HALF}",
    ]
    assert carries(both) == ({}, lost)
    old = (both / "bake/evidence/api.json").read_bytes()
    prove(both, "thing.data", "thing.docs", "other.data", platform="linux/arm64")
    assert carries(both) == (CARRIED, [])
    assert (both / "bake/evidence/api.json").read_bytes() == old
    assert (both / "bake/evidence/api.linux-arm64.json").is_file()


def test_evidence_of_one_platform_alone_is_what_its_own_images_are_built_with(both: Path) -> None:
    def reported(platform: str) -> set[str]:
        found = pruned(planned_for(project_in(both), platform))["base-web.json"]
        return {each["name"] for each in json.loads(found)["passes"]}

    assert {"thing.data", "thing.docs"} <= reported("linux/amd64")
    assert {"thing.data", "thing.docs"}.isdisjoint(reported("linux/arm64"))


def test_a_pass_that_one_platform_refutes_or_does_not_need_is_not_carried(both: Path) -> None:
    prove(both, "thing.data", platform="linux/arm64")
    kept, lost = carries(both)
    assert kept == {"base-web": ("thing.data",)}
    assert lost[0] == "thing.docs on base-web: it fails at  on linux/arm64"
    prove(both, "thing.data", platform="linux/arm64", others="idle")
    kept, lost = carries(both)
    assert kept == {"base-web": ("thing.data",)}
    assert lost[0] == "thing.docs on base-web: it changes nothing on linux/arm64"


def test_what_is_stale_for_one_platform_says_which_and_what_renews_it(both: Path) -> None:
    prove(both, "thing.data", "thing.docs", "other.data", platform="linux/arm64")
    put("api/smoke.py", "load", "imports")(both)
    assert carries(both)[1][0] == "thing.data on base-web: the check of api has changed"
    prove(both, "thing.data", "thing.docs", "other.data", platform="linux/amd64")
    assert carries(both)[1][0] == (
        "thing.data on base-web: proven for linux/amd64; linux/arm64 is stale (the check of api has"
        " changed): run `slimbake prove --stale --platform linux/arm64` on such a machine"
    )


def test_evidence_stays_where_a_layer_is_built_for_fewer_platforms(both: Path) -> None:
    prove(both, "thing.data", "thing.docs", "other.data", platform="linux/arm64")
    for _ in range(2):
        put("services.yaml", BOTH, "[linux/arm64]")(both)
    assert carries(both) == (CARRIED, [])
    prove(both, "other.data", platform="linux/arm64")  # into the file without a platform
    assert carries(both)[0] == {"api": ("other.data",)}


@pytest.mark.parametrize("emulated", [False, True])
def test_trials_for_a_platform_build_and_write_what_is_of_it_alone(
    emulated: bool, both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = "linux/amd64" if emulated else "linux/arm64"
    done: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def bench(
        project: Project, names: Sequence[str], _: Console, *, install: bool, platform: str
    ) -> Iterator[Workbench]:
        done.append(("bare", platform))
        site: Any = Site(project=project, engine=None, machine=None, around=None, console=QUIET)  # type: ignore[arg-type]
        subjects = (Subject(name, "bare", None, project.root) for name in names)  # type: ignore[arg-type]
        yield Workbench(site, tuple(subjects))

    def tried(work: Work, *_: object, **__: object) -> ProvenLayer:
        found = {
            name: replace(FINDING, digest=each.digest) for name, (each, _) in work.applying.items()
        }
        question = work.question
        evidence = Evidence(
            layer=question.layer,
            platform=question.platform,
            inputs=question.inputs,
            unpruned="",
            checks=question.checks,
            passes=found,
        )
        return ProvenLayer(question, evidence, {}, frozenset(found))

    def bake(site: Site, services: tuple[str, ...], options: BakeOptions) -> BakeResult:
        (folder,) = options.sets
        reported = json.loads((both / folder.partition("=")[2] / "base-web.json").read_text())
        assert "thing.data" in {each["name"] for each in reported["passes"]}
        done.append(("pruned", options.platform))
        return BakeResult(left=services)

    def built(names: tuple[str, ...], _: BakeResult) -> tuple[Built, ...]:
        return tuple(Built(name=name, image="pruned", names=()) for name in names)

    monkeypatch.setattr(proving, "this_platform", lambda: here)
    monkeypatch.setattr(proving, "relocked", lambda project, *_: project)
    monkeypatch.setattr(proving, "workbench", bench)
    monkeypatch.setattr(proving, "unpruned_layer", lambda *_: "")
    monkeypatch.setattr(proving, "prove_layer", tried)
    monkeypatch.setattr(proving, "bake", bake)
    monkeypatch.setattr(proving, "built_in_engine", built)
    monkeypatch.setattr(proving, "all_but_each", lambda *_: {})
    monkeypatch.setattr(measuring, "verified", lambda *args: done.append(("verified", args[-1])))
    old = (both / "bake/evidence/base-web.json").read_bytes()
    found = proving.prove(project_in(both), ["api"], QUIET, choice=Choice(), platform="linux/arm64")
    assert {(each.layer, each.platform) for each in found} == {
        ("base-web", "linux/arm64"),
        ("api", "linux/arm64"),
    }
    assert done == [
        ("bare", "linux/arm64"),
        ("pruned", "linux/arm64"),
        ("verified", "linux/arm64" if emulated else ""),
    ]
    assert (both / "bake/evidence/base-web.json").read_bytes() == old
    assert carries(both)[0] == CARRIED


def test_a_named_pass_that_is_for_nothing_here_is_an_error_and_builds_nothing(
    both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "relocked", lambda project, *_: project)
    monkeypatch.setattr(proving, "this_platform", lambda: "linux/amd64")
    for file in (both / "bake/evidence").glob("*.json"):  # nothing is unfinished either
        file.unlink()
    said: list[str] = []
    monkeypatch.setattr(QUIET, "say", said.append)
    with pytest.raises(NothingSelected, match=r"torch\.test: no layer of these services has"):
        proving.prove(project_in(both), ["api"], QUIET, choice=Choice(names=("torch.test",)))
    fresh = Choice(names=("torch.test",), stale=True)
    proving.prove(project_in(both), ["api"], QUIET, choice=fresh)
    assert said[-1] == "nothing to try: what is asked for is fresh, or no layer has it"


def test_what_loses_nothing_is_carried_on_every_platform_without_evidence(both: Path) -> None:
    assert unproven(both) == {"base-web": ALWAYS | COMPILED, "api": ALWAYS | COMPILED}


# --- what is tried


NARROWED = (  # what loses a feature, of passes for every package
    "files.cmake",
    "files.documentation",
    "files.locales",
    "files.sources",
    "files.static-libraries",
    "files.stubs",
    "files.test-data",
    "files.test-modules",
    "files.windows",
)


def works(root: Path, *names: str, **which: Any) -> dict[str, Work]:
    return {
        answer.question.layer: work_of(answer, catalogue(root), Choice(names=names, **which))
        for answer in answers(root)
    }


def test_what_is_named_is_tried_and_what_is_fresh_stays(root: Path) -> None:
    found = works(root, "thing.data")
    assert found["base-web"].wanted == ("thing.data",) and "thing.docs" in found["base-web"].known
    assert (found["api"].wanted, found["base-web"].lost) == ((), ())
    other = (*NARROWED, "metadata.all", "metadata.records")
    assert works(root, stale=True)["base-web"].wanted == ()
    assert works(root, untried=True)["base-web"].wanted == other
    assert {*works(root)["base-web"].wanted} == {*other, "thing.data", "thing.docs"}
    assert works(root, "strip.debug")["base-web"].wanted == ("strip.debug",), "named, it is tried"


def test_only_what_stale_renews_is_tried_all_together_first(root: Path) -> None:
    put("bake/locks/api.txt", "other==2", "other==3")(root)
    assert {"thing.data", "thing.docs"} <= {*works(root)["base-web"].wanted}
    assert works(root)["base-web"].proven_before == {}, "each is tried alone"
    assert {*works(root, stale=True)["base-web"].proven_before} == {"thing.data", "thing.docs"}


def weighed(root: Path, **which: str) -> bool:
    """Whether what the passes of `base-web` save is known once they are to be renewed. `which`: what
    differs in its evidence.
    """
    (answer,) = (each for each in answers(root) if each.question.layer == "base-web")
    assert answer.evidence and answer.evidence.passes
    passes = {name: replace(found, marginal=1) for name, found in answer.evidence.passes.items()}
    free = next(each for each in catalogue(root) if each.name == "strip.debug")
    passes[free.name] = replace(FINDING, digest=free.digest)  # every layer carries it, tried or not
    said = {"packages": answer.question.packages, **which}
    before = replace(answer.evidence, passes=passes, **said)  # type: ignore[arg-type]
    work = work_of(replace(answer, evidence=before), catalogue(root), Choice(stale=True))
    if work.weighed_before:
        layer = carried_layer(work)
        assert layer.evidence.unpruned == before.unpruned
        assert layer.evidence.passes.keys() == {*work.wanted, *work.known}
        assert not [
            n
            for n in work.wanted
            if stale_evidence(layer.question, layer.evidence, work.applying[n][0])
        ]
    return work.weighed_before


def test_what_passes_save_is_known_while_the_packages_of_their_layer_are_the_same(
    root: Path,
) -> None:
    put("job/smoke.py", "load", "imports")(root)
    assert weighed(root), "only a check is another"
    assert not weighed(root, packages="sha256:other")
    assert not weighed(root, packages=""), "evidence that does not tell"


@pytest.mark.parametrize("level", ["lossless", "narrowed"])
def test_only_what_the_manifest_opts_in_to_is_tried(level: str, root: Path) -> None:
    put("services.yaml", "optimize: observed", f"optimize: {level}")(root)
    assert works(root)["base-web"].wanted == (NARROWED if level == "narrowed" else ())


def test_fresh_evidence_and_an_opt_in_take_more_than_the_conditions_allow(root: Path) -> None:
    """Without evidence `unread` keeps what code names; proven, the whole pass applies."""
    put("services.yaml", "optimize: observed", "optimize: narrowed")(root)
    answer, each = answers(root)[0], next(p for p in catalogue(root) if p.name == "files.sources")
    assert selected([answer], [each])[0][0].unusable == each.unusable
    question = answer.question
    assert answer.evidence
    inputs = question.depends(each)
    found = Finding(digest=each.digest, verdict="proven", files=1, bytes=1, zstd=1, inputs=inputs)
    proven = replace(answer, evidence=replace(answer.evidence, passes={each.name: found}))
    assert selected([proven], [each])[0][0].unusable == ()
    strict = replace(proven, wanted=replace(proven.wanted, level="lossless"))
    assert selected([strict], [each])[0][0].unusable == each.unusable


def test_what_was_proven_by_a_run_that_broke_off_is_finished(root: Path) -> None:
    # no `marginal`
    assert works(root, stale=True)["base-web"].unfinished == {"thing.data", "thing.docs"}


def test_to_try_one_pass_where_others_are_stale_is_refused_with_their_names(root: Path) -> None:
    put("job/smoke.py", "load", "imports")(root)
    found = works(root, "thing.data")
    assert (found["base-web"].lost, found["api"].lost) == (("thing.docs",), ())
    with pytest.raises(UsageError, match=r"would be gone\nbase-web: thing\.docs"):
        expect_nothing_lost([*found.values()])
    expect_nothing_lost([*works(root).values(), *works(root, stale=True).values()])
    expect_nothing_lost([*works(root, "thing.data", "thing.docs").values()])
    put("passes.yaml", "thing.docs", "thing.other")(root)
    # what is no pass any more cannot be tried
    expect_nothing_lost([*works(root, "thing.data").values()])


def test_what_is_proven_below_is_company_of_those_who_stand_on_it(root: Path) -> None:
    found = works(root)
    layers = [
        ProvenLayer(work.question, evidence, {}, frozenset())
        for work in (found["base-web"], found["api"])
        if (evidence := work.before)
    ]
    below = proving._below(found["api"].question, layers[:1], catalogue(root))
    assert [(each.name, each.packages) for each in below] == [
        ("thing.data", ("thing",)),
        ("thing.docs", ("thing",)),
    ]
    assert proving._below(found["base-web"].question, layers[1:], catalogue(root)) == ()
    put("job/smoke.py", "load", "imports")(root)
    old = [ProvenLayer(works(root)["base-web"].question, layers[0].evidence, {}, frozenset())]
    assert proving._below(found["api"].question, old, catalogue(root)) == (), (
        "stale evidence is no company"
    )


def test_where_images_do_not_hold_evidence_and_what_was_generated_of_it_are_put_back(
    root: Path,
) -> None:
    project = project_in(root)
    regenerated(project, QUIET)
    files = [*(root / "bake/evidence").iterdir(), *(root / "bake/dockerfiles").rglob("*.json")]
    before = {file: file.read_bytes() for file in files}
    asked = [work.question for work in works(root).values()]
    with pytest.raises(KeyboardInterrupt), proving._put_back_unless_it_holds(project, asked):
        prove(root, "thing.data")
        regenerated(reread(project), QUIET)
        assert {file: file.read_bytes() for file in files if file.is_file()} != before
        raise KeyboardInterrupt
    assert {file: file.read_bytes() for file in files} == before
