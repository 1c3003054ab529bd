"""libs/slimbake-models: the same answers from torch and from ONNX Runtime, of each kind of model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")

from tests.export.test_export_classifiers import HEADS, NAMES, ONE, PAIRS  # noqa: E402
from tests.export.test_export_models import FP32, TEXTS, of_family  # noqa: E402

from slimbake.inside.export.model import export_model  # noqa: E402
from slimbake_models import Model, WrongTaskError, load  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of what it will change itself

GENERATES: dict[str, Any] = {"num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3}
KINDS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "embeds": ("Roberta", transformers.AutoModel, {}),
    "ranks": ("Bert", HEADS["classification"], ONE),
    "classifies": ("DebertaV2", HEADS["classification"], NAMES),
    "labels": (
        "Bert",
        HEADS["token-classification"],
        {"id2label": {0: "O", 1: "B-CAT", 2: "I-CAT"}},
    ),
    "generates": ("Llama", transformers.AutoModelForCausalLM, GENERATES),
}
Both = Callable[[str], tuple[Model, Model]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A model of a kind by torch and by ONNX Runtime."""
    made: dict[str, tuple[Model, Model]] = {}

    def make(kind: str) -> tuple[Model, Model]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            family, auto, config = KINDS[kind]
            of_family(family, folder / "torch", auto, **config)
            export_model(folder / "torch", folder / "onnx", FP32)
            made[kind] = load(folder / "torch"), load(str(folder / "onnx"))
        return made[kind]

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_both_runtimes_know_the_same_of_a_model(both: Both, kind: str) -> None:
    one, other = both(kind)
    assert one.settings == other.settings
    assert one.ids(TEXTS) == other.ids(TEXTS)


def test_vectors_are_the_same_alone_and_in_batches(both: Both) -> None:
    one, other = both("embeds")
    texts = [*TEXTS, *(["cat"] * 20)]
    vectors = other.encode(texts)
    assert vectors == pytest.approx(one.encode(texts), abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    assert other.encode(TEXTS[:1])[0] == pytest.approx(vectors[0], abs=1e-5)
    assert len(other.encode([])) == 0


def test_each_token_but_the_special_ones_has_a_vector(both: Both) -> None:
    one, other = both("embeds")
    for mine, theirs in zip(other.encode_tokens(TEXTS), one.encode_tokens(TEXTS), strict=True):
        assert mine.tokens == pytest.approx(theirs.tokens, abs=1e-4)
        assert mine.vector == pytest.approx(theirs.vector, abs=1e-5)
    counts = [len(each.tokens) for each in other.encode_tokens(TEXTS)]
    assert counts == [len(ids) - 2 for ids in other.ids(TEXTS)]


def test_a_reranker_scores_pairs(both: Both) -> None:
    one, other = both("ranks")
    scores = other.rerank("the cat", TEXTS)
    assert scores == pytest.approx(one.rerank("the cat", TEXTS), abs=1e-4)
    assert len({round(score, 3) for score in scores}) > 1
    (odds,) = other.classify([("the cat", TEXTS[0])])
    assert odds["score"] == pytest.approx(1 / (1 + np.exp(-scores[0])))


def test_a_classifier_gives_each_label_its_probability(both: Both) -> None:
    one, other = both("classifies")
    texts: list[str | tuple[str, str]] = [*TEXTS, *PAIRS]
    for mine, theirs in zip(other.classify(texts), one.classify(texts), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)
        assert list(mine) == ["bad", "fair", "good"]
        assert sum(mine.values()) == pytest.approx(1, abs=1e-5)
    (several,) = other.classify(TEXTS[:1], several=True)
    (logits,) = other.logits(TEXTS[:1])
    assert list(several.values()) == pytest.approx((1 / (1 + np.exp(-logits))).tolist())


def test_parts_of_a_text_have_labels(both: Both) -> None:
    one, other = both("labels")
    found = other.label(TEXTS)
    shown = [[(part.label, part.start, part.end) for part in parts] for parts in found]
    assert shown == [
        [(part.label, part.start, part.end) for part in parts] for parts in one.label(TEXTS)
    ]
    assert {part.label for parts in found for part in parts} == {"CAT"}
    for text, parts in zip(TEXTS, found, strict=True):
        assert [part.text for part in parts] == [text[part.start : part.end] for part in parts]
        assert all(0 < part.score <= 1 for part in parts)
    assert {part.label for part in other.label(TEXTS, outside="none")[0]} <= {"O", "CAT"}


def test_a_generator_writes_the_same(both: Both) -> None:
    one, other = both("generates")
    for text in (TEXTS[0], TEXTS[3]):  # the second is longer than the model reads
        pieces = list(other.generate(text, 9))
        assert pieces == list(one.generate(text, 9))
        assert pieces
    ids = other.ids(TEXTS[:1])[0] * 4
    assert other.logprobs(ids) == pytest.approx(one.logprobs(ids), abs=1e-4)
    assert len(other.logprobs(ids)) == len(ids) - 1


def test_threads_take_turns(both: Both) -> None:
    _, other = both("generates")
    alone = [list(other.generate(text, 8)) for text in TEXTS]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: list(other.generate(text, 8)), TEXTS)) == alone


def test_what_a_model_was_not_made_for_is_refused(both: Both) -> None:
    _, other = both("classifies")
    for ask in (lambda: other.encode(["a"]), lambda: next(other.generate("a"))):
        with pytest.raises(WrongTaskError, match="this is a model for classification, not for"):
            ask()
    with pytest.raises(WrongTaskError, match="a model with 3 labels ranks nothing"):
        other.rerank("a", ["b"])


def test_a_graph_needs_neither_torch_nor_transformers(both: Both, tmp_path: Path) -> None:
    of_family("Bert", tmp_path / "torch", HEADS["classification"], **ONE)
    export_model(tmp_path / "torch", tmp_path / "onnx", FP32)
    program = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('torch', 'transformers', 'onnx', 'safetensors'))\n"
        "from slimbake_models import load\n"
        "print(load(sys.argv[1]).rerank('the cat', ['sat', 'dogs']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "onnx"],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("["), done.stderr
