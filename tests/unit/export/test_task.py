"""The program that exports models, as far as it needs no torch: what a folder holds, and what is
said of faults.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.ran import ran
from tests.unit.programs import written

from slimbake_export.reference import normalises
from slimbake_export.task import max_length, model_pooling, model_task
from slimbake_export.tracing import ExportError


def beside(folder: Path, files: dict[str, Any]) -> Path:
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    return folder


# --- the folder


def test_the_program_reports_a_fault_of_the_folder_without_torch(tmp_path: Path) -> None:
    words = [tmp_path / "nothing", tmp_path / "out", "int8"]
    done = ran([sys.executable, "-S", str(written("export", tmp_path)), "export", *map(str, words)])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "slimbake: there is no config.json that names the model's class (`architectures`): name a"
        " folder that save_pretrained of transformers wrote. Of a GGUF file, these are the weights"
        " that it was made from; an adapter has to be merged into its model; `inference: torch` runs"
        " this service as it is\n"
    )
    assert not (tmp_path / "out").exists()


# --- pooling and length


POOLING = "1_Pooling/config.json"


@pytest.mark.parametrize(
    ("files", "pooling"),
    [
        ({}, "mean"),
        ({POOLING: {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}}, "mean"),
        ({POOLING: {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}}, "cls"),
        ({POOLING: {"pooling_mode": "cls"}}, "cls"),
    ],
)
def test_pooling_is_the_stored_one(tmp_path: Path, files: dict[str, Any], pooling: str) -> None:
    assert model_pooling(beside(tmp_path, files)) == pooling


BOTH = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({POOLING: {"pooling_mode_max_tokens": True}}, "by pooling_mode_max_tokens, not by mean"),
        ({POOLING: BOTH}, "pools by"),
        ({POOLING: {"pooling_mode_mean_tokens": False}}, "pools by nothing"),
        ({"modules.json": [{"type": "a.models.Dense"}]}, "steps that are not exported: Dense"),
    ],
)
def test_pooling_outside_the_graph(tmp_path: Path, files: dict[str, Any], words: str) -> None:
    with pytest.raises(ExportError, match="`inference: torch`") as caught:
        model_pooling(beside(tmp_path, files))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("files", "tokenizer", "positions", "length"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 256}}, 512, 512, 256),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 512, 514, 512),
        ({}, 10**30, 384, 384),
    ],
)
def test_texts_are_read_as_far_as_the_model_is_said_to_read(
    tmp_path: Path, files: dict[str, Any], tokenizer: int, positions: int, length: int
) -> None:
    model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=positions))
    read = max_length(beside(tmp_path, files), model, SimpleNamespace(model_max_length=tokenizer))
    assert read == length


@pytest.mark.parametrize(("padding", "length"), [(None, 514), (0, 513), (1, 512)])
def test_padding_is_no_place_of_a_text(tmp_path: Path, padding: int | None, length: int) -> None:
    table = SimpleNamespace(padding_idx=padding)
    model = SimpleNamespace(
        config=SimpleNamespace(max_position_embeddings=514),
        embeddings=SimpleNamespace(position_embeddings=table),
    )
    read = max_length(tmp_path, model, SimpleNamespace(model_max_length=10**30))
    assert read == length


def test_a_model_without_any_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="how long a text may be"):
        model = SimpleNamespace(config=SimpleNamespace())
        max_length(tmp_path, model, SimpleNamespace(model_max_length=10**30))


# --- what a model is for, by the files beside its weights


SENTENCES = [
    {"path": path, "type": f"sentence_transformers.models.{step}"}
    for step, path in (("Transformer", ""), ("Pooling", "1_Pooling"))
]


def folder_of_model(folder: Path, architecture: str, files: Mapping[str, Any] = {}) -> Path:
    """A folder that looks like a model."""
    config = {"architectures": [architecture], "vocab_size": 8}
    (folder / "model.safetensors").touch()
    return beside(folder, {"config.json": config, "tokenizer.json": {}, **files})


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("GemmaForCausalLM", "generation"),
        ("GPT2LMHeadModel", "generation"),
        ("BertModel", "embedding"),
        ("XLMRobertaModel", "embedding"),
    ],
)
def test_the_class_of_a_model_tells_its_task(tmp_path: Path, architecture: str, task: str) -> None:
    assert model_task(folder_of_model(tmp_path, architecture)) == task


@pytest.mark.parametrize("architecture", ["MPNetForMaskedLM", "LlamaForCausalLM"])
def test_a_sentence_transformer_of_any_class_embeds(tmp_path: Path, architecture: str) -> None:
    folder = folder_of_model(tmp_path, architecture, {"modules.json": SENTENCES})
    assert model_task(folder) == "embedding"
    (folder / "modules.json").unlink()
    assert model_task(beside(folder, {POOLING: {"pooling_mode": "cls"}})) == "embedding"


def test_a_head_is_not_dropped(tmp_path: Path) -> None:
    folder = folder_of_model(
        tmp_path, "BertForSequenceClassification", {"modules.json": SENTENCES[:1]}
    )
    with pytest.raises(ExportError, match="has a head that an export would drop"):
        model_task(folder)


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("config.json", {"model_type": "bert"}, "names the model's class"),
        ("config.json", [], "names the model's class"),
        (
            "config.json",
            {"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True},
            "has an encoder and a decoder",
        ),
        (
            "config.json",
            {"architectures": ["BertModel"], "quantization_config": {"quant_method": "gptq"}},
            "quantised already",
        ),
        ("preprocessor_config.json", {}, "reads images or sound"),
    ],
)
def test_another_graph_is_refused(tmp_path: Path, file: str, content: object, why: str) -> None:
    folder = beside(folder_of_model(tmp_path, "BertModel"), {file: content})
    with pytest.raises(ExportError, match=why):
        model_task(folder)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (None, True),
        ([{"type": "a.Transformer"}, {"type": "a.Pooling"}], False),
        ([{"type": "a.Pooling"}, {"type": "sentence_transformers.models.Normalize"}], True),
    ],
)
def test_a_model_says_it_normalises(steps: object, expected: bool, tmp_path: Path) -> None:
    if steps is not None:
        (tmp_path / "modules.json").write_text(json.dumps(steps))
    assert normalises(tmp_path) is expected
