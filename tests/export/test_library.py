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

from tests.export.test_export_models import FP32, TEXTS, of_family  # noqa: E402

from slimbake_export.model import export_model  # noqa: E402
from slimbake_models import Model, WrongTaskError, load  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of what it will change itself

GENERATES: dict[str, Any] = {"num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3}
KINDS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "embeds": ("Roberta", transformers.AutoModel, {}),
    "generates": ("Llama", transformers.AutoModelForCausalLM, GENERATES),
}
TEXT = transformers.AutoModelForSequenceClassification
LABELS: dict[str, tuple[str, Any, dict[str, Any]]] = {  # of torch alone
    "ranks": ("Bert", TEXT, {"id2label": {0: "score"}}),
    "classifies": ("DebertaV2", TEXT, {"id2label": {0: "bad", 1: "fair", 2: "good"}}),
    "labels": (
        "Bert",
        transformers.AutoModelForTokenClassification,
        {"id2label": {0: "O", 1: "B-CAT", 2: "I-CAT"}},
    ),
}
PAIRS = [("the cat sat", "on the mat"), ("dogs", "the dog sat on the mat " * 20), ("", "cat")]
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


def classifier(kind: str, folder: Path) -> Model:
    family, auto, config = LABELS[kind]
    of_family(family, folder, auto, **config)
    return load(folder)


def test_a_reranker_scores_pairs(tmp_path: Path) -> None:
    model = classifier("ranks", tmp_path)
    scores = model.rerank("the cat", TEXTS)
    assert len({round(score, 3) for score in scores}) > 1
    (odds,) = model.classify([("the cat", TEXTS[0])])
    assert odds["score"] == pytest.approx(1 / (1 + np.exp(-scores[0])), abs=1e-4)


def test_a_classifier_gives_each_label_its_probability(tmp_path: Path) -> None:
    model = classifier("classifies", tmp_path)
    texts: list[str | tuple[str, str]] = [*TEXTS, *PAIRS]
    for odds in model.classify(texts):
        assert list(odds) == ["bad", "fair", "good"]
        assert sum(odds.values()) == pytest.approx(1, abs=1e-5)
    (several,) = model.classify(TEXTS[:1], several=True)
    (logits,) = model.logits(TEXTS[:1])
    assert list(several.values()) == pytest.approx((1 / (1 + np.exp(-logits))).tolist())
    for ask in (lambda: model.encode(["a"]), lambda: next(model.generate("a"))):
        with pytest.raises(WrongTaskError, match="this is a model for classification, not for"):
            ask()
    with pytest.raises(WrongTaskError, match="a model with 3 labels ranks nothing"):
        model.rerank("a", ["b"])


def test_parts_of_a_text_have_labels(tmp_path: Path) -> None:
    model = classifier("labels", tmp_path)
    found = model.label(TEXTS)
    assert {part.label for parts in found for part in parts} == {"CAT"}
    for text, parts in zip(TEXTS, found, strict=True):
        assert [part.text for part in parts] == [text[part.start : part.end] for part in parts]
        assert all(0 < part.score <= 1 for part in parts)
    assert {part.label for part in model.label(TEXTS, outside="none")[0]} <= {"O", "CAT"}


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


def test_a_graph_needs_neither_torch_nor_transformers(both: Both, tmp_path: Path) -> None:
    of_family("Bert", tmp_path / "torch")
    export_model(tmp_path / "torch", tmp_path / "onnx", FP32)
    program = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('torch', 'transformers', 'onnx', 'safetensors'))\n"
        "from slimbake_models import load\n"
        "print(load(sys.argv[1]).encode(['the cat', 'dogs']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "onnx"],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("["), done.stderr
