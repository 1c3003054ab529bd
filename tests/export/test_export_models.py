"""Exports of small models with random weights, where torch is: CONTRIBUTING.md says how such an
environment is made.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.export.harm import export_harmed
from tests.unit.programs import written

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
onnxruntime = pytest.importorskip("onnxruntime")

from slimbake.inside.check.agreement import agreement_of_embeddings, judge  # noqa: E402
from slimbake.inside.step import hashed  # noqa: E402
from slimbake.plan.parity import LIMITS  # noqa: E402
from slimbake_export import tracing  # noqa: E402
from slimbake_export.model import export_model  # noqa: E402
from slimbake_export.quantise import quantise_graph  # noqa: E402
from slimbake_export.reference import embedding_answers  # noqa: E402
from slimbake_export.texts import Texts  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of what it will change itself

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "cat",
    "dog",
    "sat",
    "on",
    "the",
    "mat",
    "##s",
)
TEXTS = ["the cat sat", "dogs", "", "the dog sat on the mat " * 20, "unheard"]
FP32 = "fp32"
Made = Callable[..., Path]
Module: Any = torch.nn.Module


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A folder with a small BERT; `beside` are files of sentence-transformers."""

    def make(beside: dict[str, Any] | None = None, **config: Any) -> Path:
        torch.manual_seed(7)
        folder = tmp_path / "model"
        small = {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
        }
        said = transformers.BertConfig(
            vocab_size=len(WORDS), max_position_embeddings=64, **small | config
        )
        transformers.BertModel(said).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(WORDS))
        transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(
            folder
        )
        for name, value in (beside or {}).items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(value))
        return folder

    return make


def torch_vectors(folder: Path, texts: Sequence[str], pooling: str = "mean") -> Any:
    """What sentence-transformers would say, written out again."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    batch = tokenizer(
        list(texts), padding=True, truncation=True, max_length=64, return_tensors="pt"
    )
    with torch.inference_mode():
        tokens = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    pooled = tokens[:, 0] if pooling == "cls" else (tokens * mask).sum(dim=1) / mask.sum(dim=1)
    return torch.nn.functional.normalize(pooled).numpy()


def graph_vectors(out: Path, texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer

    said = json.loads((out / "inference.json").read_text())
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    tokenizer.enable_truncation(said["max_length"])
    tokenizer.enable_padding(pad_id=said["padding"]["id"], pad_token=said["padding"]["token"])
    batch = tokenizer.encode_batch(list(texts))
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    names = {"input_ids": "ids", "attention_mask": "attention_mask"}
    given = {
        name: np.array([getattr(each, what) for each in batch], dtype=np.int64)
        for name, what in names.items()
    }
    tokens, vectors = session.run(["token_embeddings", "sentence_embedding"], given)
    assert tokens.shape == (*given["input_ids"].shape, said["dimension"])
    return vectors


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_graph_gives_torchs_vectors_for_any_batch_and_length(
    made: Made, tmp_path: Path, pooling: str
) -> None:
    folder = made({"1_Pooling/config.json": {"pooling_mode": pooling}})
    export_model(folder, tmp_path / "out", FP32)
    for texts in (TEXTS, TEXTS[:1], TEXTS[2:3], TEXTS[3:4]):
        assert graph_vectors(tmp_path / "out", texts) == pytest.approx(
            torch_vectors(folder, texts, pooling), abs=1e-5
        )


def test_what_a_service_needs_is_reported_beside_the_graph(made: Made, tmp_path: Path) -> None:
    folder = made({"sentence_bert_config.json": {"max_seq_length": 48}})
    (folder / "LICENSE").write_text("mine")
    export_model(folder, tmp_path / "out", FP32)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "LICENSE",
        "config.json",
        "inference.json",
        "model.onnx",
        "tokenizer.json",
    ]
    said = json.loads((tmp_path / "out/inference.json").read_text())
    assert said.pop("sha256") == {"model.onnx": hashed(tmp_path / "out/model.onnx")}
    assert said == {
        "task": "embedding",
        "precision": "fp32",
        "pooling": "mean",
        "max_length": 48,
        "dimension": 32,
        "inputs": ["input_ids", "attention_mask"],
        "outputs": ["token_embeddings", "sentence_embedding"],
        "padding": {"id": 0, "token": "[PAD]"},
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_same_model_gives_the_same_bytes(made: Made, tmp_path: Path, precision: str) -> None:
    folder = made()
    program = written("export", tmp_path)
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed}
        words = [
            sys.executable,
            str(program),
            "export",
            str(folder),
            str(tmp_path / seed),
            precision,
        ]
        subprocess.run(words, check=True, env=environment, cwd=tmp_path)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()}
        for seed in ("1", "2")
    )
    assert first == second
    assert str(tmp_path).encode() not in first["model.onnx"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_coarser_numbers_are_near_and_smaller(made: Made, tmp_path: Path, precision: str) -> None:
    folder = made(hidden_size=128, intermediate_size=512)
    export_model(folder, tmp_path / "fp32", FP32)
    export_model(folder, tmp_path / "out", precision)
    cosines = (graph_vectors(tmp_path / "out", TEXTS) * torch_vectors(folder, TEXTS)).sum(axis=1)
    assert cosines.min() > 0.98
    sizes = [(tmp_path / name / "model.onnx").stat().st_size for name in ("fp32", "out")]
    assert sizes[1] < 0.7 * sizes[0]


def test_where_weights_alone_are_integers_a_text_has_one_vector_no_matter_what_is_beside_it(
    made: Made, tmp_path: Path
) -> None:
    folder = made(hidden_size=128, intermediate_size=512)
    export_model(folder, tmp_path / "out", "int8")
    together = graph_vectors(tmp_path / "out", TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert graph_vectors(tmp_path / "out", [text])[0] == pytest.approx(vector, abs=1e-5)
    assert (together * torch_vectors(folder, TEXTS)).sum(axis=1).min() > 0.999


# --- other families

DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
FAMILIES: dict[str, dict[str, Any]] = {
    "Roberta": {},
    "XLMRoberta": {},
    "MPNet": {},
    "DistilBert": {"dim": 128, "n_layers": 2, "n_heads": 4, "hidden_dim": 256},
    "Electra": {"embedding_size": 128},
    "Albert": {"embedding_size": 128},
    "Deberta": DISENTANGLED,
    "DebertaV2": DISENTANGLED | {"position_buckets": 16},
    "ModernBert": dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id"), 2)
    | {"sep_token_id": 3, "local_attention": 8},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_of_encoders_gives_torchs_vectors(family: str, tmp_path: Path) -> None:
    """As far as it can read: the tokenizer has no limit, so the model's own counts."""
    folder, out = tmp_path / "model", tmp_path / "out"
    of_family(family, folder)
    export_model(folder, out, FP32)
    said = json.loads((out / "inference.json").read_text())
    assert said["max_length"] == 64
    expected = torch_vectors(folder, TEXTS)
    assert graph_vectors(out, TEXTS) == pytest.approx(expected, abs=1e-5)
    graph = (out / "model.onnx").read_bytes()
    quantise_graph(out / "model.onnx", "int8")
    assert (graph_vectors(out, TEXTS) * expected).sum(axis=1).min() > 0.99
    assert (out / "model.onnx").stat().st_size < 0.6 * len(graph)


def of_family(family: str, folder: Path, auto: Any = transformers.AutoModel, **more: Any) -> None:
    """Save a small model of a family with random weights, and BERT's tokenizer.

    `auto`: an Auto class of transformers. `more` goes into the config.
    """
    torch.manual_seed(7)
    small = {
        "vocab_size": 128,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "pad_token_id": 0,
        # These count positions from after that of the padding, which for MPNet is always 1.
        "max_position_embeddings": 64 + {"Roberta": 1, "XLMRoberta": 1, "MPNet": 2}.get(family, 0),
    }
    config = getattr(transformers, f"{family}Config")(**small | FAMILIES.get(family, {}) | more)
    model = auto.from_config(config)
    with torch.no_grad():  # as they begin, biases are 0 and norms do nothing
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    types = ["token_type_ids"] if getattr(config, "type_vocab_size", 0) > 1 else []
    transformers.BertTokenizer(
        str(folder / "vocab.txt"), model_input_names=["input_ids", "attention_mask", *types]
    ).save_pretrained(folder)


# --- a graph larger than protobuf reads


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_graph_over_the_limit_has_its_weights_beside_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(tracing, "LIMIT", 1000)
    folder = made()
    export_model(folder, tmp_path / "out", precision)
    said = json.loads((tmp_path / "out/inference.json").read_text())
    assert sorted(said["sha256"]) == ["model.onnx", "model.onnx.data"]
    cosines = (graph_vectors(tmp_path / "out", TEXTS) * torch_vectors(folder, TEXTS)).sum(axis=1)
    assert cosines.min() > 0.98


# --- faults


def test_weights_that_are_cut_short_are_reported(made: Made, tmp_path: Path) -> None:
    weights = made() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(tracing.ExportError, match="holds no model that can be read"):
        export_model(weights.parent, tmp_path / "out", FP32)


def test_weights_that_lack_a_part_are_not_made_up(made: Made, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = made() / "model.safetensors"
    left = {
        name: value for name, value in load_file(weights).items() if "layer.1.output" not in name
    }
    save_file(left, weights, {"format": "pt"})
    with pytest.raises(
        tracing.ExportError,
        match=r"config\.json: missing: encoder\.layer\.1\.output\..* and 1 more",
    ):
        export_model(weights.parent, tmp_path / "out", FP32)


def test_a_pooler_may_be_missing(made: Made, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = made() / "model.safetensors"
    save_file(
        {k: v for k, v in load_file(weights).items() if not k.startswith("pooler")},
        weights,
        {"format": "pt"},
    )
    export_model(weights.parent, tmp_path / "out", FP32)
    assert (tmp_path / "out/model.onnx").is_file()


def test_weights_of_another_config_are_reported(made: Made, tmp_path: Path) -> None:
    folder = made()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(
        tracing.ExportError,
        match=r"config\.json: of another shape: encoder\.layer\.0\.int.* and 3 more",
    ):
        export_model(folder, tmp_path / "out", FP32)


def test_an_operator_without_a_translation_is_named() -> None:
    library = torch.library.Library("slimbake_test", "DEF")
    library.define("strange(Tensor x) -> Tensor")
    library.impl("strange", lambda x: x.clone(), "CompositeExplicitAutograd")
    torch.library.register_fake("slimbake_test::strange", lambda x: x.clone(), lib=library)

    class Strange(Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.ops.slimbake_test.strange(x)

    class Whole(Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = Strange()

        def forward(self, x: Any) -> Any:
            return {"y": self.inner(x) + 1}

    with pytest.raises(tracing.ExportError) as said:
        tracing.trace_graph(Whole().eval(), {"x": torch.ones(2, 3)}, {"x": None}, ["y"])
    assert "slimbake_test.strange" in str(said.value)
    assert str(said.value).endswith("; `inference: torch` runs this service as it is")


def test_what_cannot_be_traced_is_reported_with_the_way_out() -> None:
    class Branching(Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return {"y": x + 1 if x.sum() > 0 else x}

    with pytest.raises(
        tracing.ExportError, match=r"torch cannot trace Branching: .*; `inference: torch` runs"
    ):
        tracing.trace_graph(Branching().eval(), {"x": torch.ones(2, 3)}, {"x": None}, ["y"])


# --- parity


def some_texts() -> Texts:
    draw = random.Random(0)  # noqa: S311 - texts for a test

    def text() -> str:
        return " ".join(draw.choices(WORDS[5:-1], k=draw.randint(1, 12)))

    return Texts(
        sentence=tuple(text() for _ in range(20)),
        document=tuple(text() for _ in range(40)),
        query=tuple(text() for _ in range(10)),
    )


def keeps_limits(reference: dict[str, Any], out: Path, precision: str) -> bool:
    """Whether the graph's vectors keep the limits of its precision."""
    vectors = graph_vectors(out, reference["texts"]).tolist()
    figures = agreement_of_embeddings(reference, vectors) | {"strings": 1, "different": []}
    # Random weights make near ties, which trained ones do not.
    limits = LIMITS[precision] | {"top10": 0.8}
    return all(line.holds for line in judge("embedding", figures, limits))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_is_exported_keeps_the_limits_and_what_is_harmed_does_not(
    precision: str, tmp_path: Path
) -> None:
    folder, out = tmp_path / "model", tmp_path / "out"
    of_family("Bert", folder)
    reference = embedding_answers(folder, some_texts())
    export_model(folder, out / "whole", precision)
    assert keeps_limits(reference, out / "whole", precision)
    harmed = export_harmed(folder, out, precision)
    assert harmed.keys() == {"swapped", "pooled", "shifted", "lengths"}
    for name, graph in harmed.items():
        assert not keeps_limits(reference, graph, precision), name
