"""What a model is for, by the files beside its weights. Why one is refused: tests/errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slimbake.inside.model_task import (
    UnsupportedModelError,
    files_in,
    model_task,
)

SENTENCES = [
    {"path": path, "type": f"sentence_transformers.models.{step}"}
    for step, path in (("Transformer", ""), ("Pooling", "1_Pooling"))
]


def folder_of_model(folder: Path, architecture: str, **files: object) -> Path:
    """A folder that looks like a model."""
    config = {"architectures": [architecture], "vocab_size": 8}
    for name, value in {"config": config, "tokenizer": {}, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "model.safetensors").touch()
    return folder


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("GemmaForCausalLM", "generation"),
        ("GPT2LMHeadModel", "generation"),
        ("BertModel", "embedding"),
        ("XLMRobertaModel", "embedding"),
    ],
)
def test_the_class_that_saved_a_model_tells_its_task(
    tmp_path: Path, architecture: str, task: str
) -> None:
    assert model_task(files_in(folder_of_model(tmp_path, architecture))) == task


@pytest.mark.parametrize("architecture", ["MPNetForMaskedLM", "LlamaForCausalLM"])
def test_a_sentence_transformer_embeds_whichever_class_trained_it(
    tmp_path: Path, architecture: str
) -> None:
    folder = folder_of_model(tmp_path, architecture, modules=SENTENCES)
    assert model_task(files_in(folder)) == "embedding"
    (folder / "modules.json").unlink()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
    assert model_task(files_in(folder)) == "embedding"


def test_a_head_is_not_dropped(tmp_path: Path) -> None:
    folder = folder_of_model(tmp_path, "BertForSequenceClassification", modules=SENTENCES[:1])
    with pytest.raises(UnsupportedModelError, match="has a head that an export would drop"):
        model_task(files_in(folder))


@pytest.mark.parametrize("files", [("vocab.txt",), ("vocab.json", "merges.txt")])
def test_a_tokenizer_that_transformers_converts_itself_will_do(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    folder = folder_of_model(tmp_path, "BertModel")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModelError, match=r"no tokenizer\.json"):
        model_task(files_in(folder))
    for name in files:
        (folder / name).touch()
    assert model_task(files_in(folder)) == "embedding"
