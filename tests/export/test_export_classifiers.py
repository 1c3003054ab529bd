"""Exports of small classifiers with random weights, where torch is, as CONTRIBUTING.md says of it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
onnxruntime = pytest.importorskip("onnxruntime")

from tests.export.harm import export_harmed  # noqa: E402
from tests.export.test_export_models import FAMILIES, FP32, TEXTS, WORDS, of_family  # noqa: E402

from slimbake.inside.check.agreement import agreement_of_logits, judge  # noqa: E402
from slimbake.inside.export.model import export_model  # noqa: E402
from slimbake.inside.export.quantise import quantise_graph  # noqa: E402
from slimbake.inside.export.reference import classifier_answers  # noqa: E402
from slimbake.inside.export.tracing import ExportError  # noqa: E402
from slimbake.inside.model_task import Task  # noqa: E402
from slimbake.inside.parity_texts import Texts  # noqa: E402
from slimbake.plan.parity import LIMITS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of what it will change itself

HEADS: dict[Task, Any] = {
    "classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
}
NAMES = {"id2label": {0: "bad", 1: "fair", 2: "good"}}
ONE = {"id2label": {0: "score"}}
PAIRS = [("the cat sat", "on the mat"), ("dogs", "the dog sat on the mat " * 20), ("", "cat")]
GPT = {"Llama": {"num_key_value_heads": 2}}  # reads from left to right, and a text's last token
Inputs = Sequence[str | tuple[str, str]]


def torch_logits(folder: Path, texts: Inputs, task: Task) -> list[Any]:
    """Of each text alone, without padding: a row of labels, or one for each token."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = HEADS[task].from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for text in texts:
        both = (text,) if isinstance(text, str) else text
        batch = tokenizer(*both, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            found.append(model(**batch).logits[0].numpy())
    return found


def graph_logits(out: Path, texts: Inputs) -> list[Any]:
    """Of all texts as one batch."""
    from tokenizers import Tokenizer

    said = json.loads((out / "inference.json").read_text())
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    tokenizer.enable_truncation(said["max_length"])
    tokenizer.enable_padding(pad_id=said["padding"]["id"], pad_token=said["padding"]["token"])
    batch = tokenizer.encode_batch(list(texts))
    given = {
        "input_ids": [each.ids for each in batch],
        "attention_mask": [each.attention_mask for each in batch],
        "token_type_ids": [each.type_ids for each in batch],
    }
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(
        ["logits"], {name: np.array(given[name], np.int64) for name in said["inputs"]}
    )
    if said["task"] == "classification":
        return list(logits)
    return [
        rows[np.array(each.attention_mask) == 1] for rows, each in zip(logits, batch, strict=True)
    ]


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("family", [*FAMILIES, "Bert", "Llama"])
def test_each_family_of_classifiers_gives_the_logits_of_torch(
    family: str, task: Task, tmp_path: Path
) -> None:
    folder, out = tmp_path / "model", tmp_path / "out"
    of_family(family, folder, HEADS[task], **NAMES, **GPT.get(family, {}))
    export_model(folder, out, FP32)
    said = json.loads((out / "inference.json").read_text())
    assert (said["task"], said["labels"]) == (task, ["bad", "fair", "good"])
    texts: Inputs = [*TEXTS, *PAIRS] if task == "classification" else TEXTS
    expected = torch_logits(folder, texts, task)
    for found, each in zip(graph_logits(out, texts), expected, strict=True):
        assert found == pytest.approx(each, abs=1e-4)
    graph = (out / "model.onnx").read_bytes()
    whole = np.concatenate([each.ravel() for each in expected])
    for precision, most in (({"type": "int8"}, 0.1), ({"type": "int4"}, 0.6)):
        (out / "model.onnx").write_bytes(graph)
        quantise_graph(out / "model.onnx", precision)
        off = np.concatenate([each.ravel() for each in graph_logits(out, texts)]) - whole
        assert np.sqrt((off**2).mean()) < most * whole.std()


def test_a_pair_is_not_one_text(tmp_path: Path) -> None:
    of_family("Bert", tmp_path / "model", HEADS["classification"], **ONE)
    export_model(tmp_path / "model", tmp_path / "out", FP32)
    said = json.loads((tmp_path / "out/inference.json").read_text())
    assert said["inputs"] == ["input_ids", "attention_mask", "token_type_ids"]
    assert said["labels"] == ["score"]
    one, other = graph_logits(tmp_path / "out", [("the cat", "sat"), ("the", "cat sat")])
    assert abs(one - other) > 1e-3


@pytest.mark.parametrize(
    ("family", "part"), [("Bert", "classifier"), ("Bert", "pooler"), ("DebertaV2", "pooler")]
)
def test_a_head_that_is_missing_is_not_made_up(family: str, part: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    of_family(family, tmp_path / "model", HEADS["classification"], **NAMES)
    weights = tmp_path / "model/model.safetensors"
    left = {name: value for name, value in load_file(weights).items() if part not in name}
    save_file(left, weights, {"format": "pt"})
    with pytest.raises(ExportError, match=rf"these are not .*config\.json: missing: .*{part}"):
        export_model(tmp_path / "model", tmp_path / "out", FP32)


def test_a_head_with_other_labels_than_config_json_is_reported(tmp_path: Path) -> None:
    of_family("Bert", tmp_path / "model", HEADS["token-classification"], **NAMES)
    config = tmp_path / "model/config.json"
    said = json.loads(config.read_text()) | {"id2label": {"0": "O"}, "label2id": {"O": 0}}
    config.write_text(json.dumps(said))
    with pytest.raises(ExportError, match=r"config\.json: of another shape: classifier\."):
        export_model(tmp_path / "model", tmp_path / "out", FP32)


# --- parity


def some_texts(seed: int = 0) -> Texts:
    draw = random.Random(seed)  # noqa: S311 - texts for a test

    def text() -> str:
        return " ".join(draw.choices(WORDS[5:-1], k=draw.randint(1, 12)))

    return Texts(
        sentence=tuple(text() for _ in range(40)),
        document=tuple(text() for _ in range(20)),
        query=tuple(text() for _ in range(4)),
        pair=tuple((text(), text()) for _ in range(4)),
    )


def verdict(reference: dict[str, Any], out: Path, precision: str) -> bool:
    """Whether the graph's logits keep the limits of its precision."""
    found = graph_logits(out, reference["texts"])
    rows = [each.reshape(-1, each.shape[-1]).tolist() for each in found]
    figures = agreement_of_logits(reference, rows) | {"strings": 1, "different": []}
    # Random weights make near ties, which trained ones do not.
    limits = LIMITS[precision] | {"decisions": 0.9}
    return all(each.holds for each in judge("classification", figures, limits))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("task", "labels"),
    [("classification", ONE), ("classification", NAMES), ("token-classification", NAMES)],
)
def test_what_is_exported_keeps_the_limits_and_what_is_harmed_does_not(
    task: Task, labels: dict[str, Any], precision: str, tmp_path: Path
) -> None:
    folder, out = tmp_path / "model", tmp_path / "out"
    of_family("Bert", folder, HEADS[task], **labels)
    reference = classifier_answers(folder, some_texts(), task)
    export_model(folder, out / "whole", {"type": precision})
    assert verdict(reference, out / "whole", precision)
    harmed = export_harmed(folder, out, {"type": precision})
    assert harmed.keys() == {"swapped", "positions", "head"}
    for name, graph in harmed.items():
        assert not verdict(reference, graph, precision), name
