"""What a model is for, by the files beside its weights."""

import json
from pathlib import Path

import pytest

from slimbake.inside.export.task import model_task
from slimbake.inside.export.tracing import ExportError

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
def test_the_class_of_a_model_tells_its_task(tmp_path: Path, architecture: str, task: str) -> None:
    assert model_task(folder_of_model(tmp_path, architecture)) == task


@pytest.mark.parametrize("architecture", ["MPNetForMaskedLM", "LlamaForCausalLM"])
def test_a_sentence_transformer_of_any_class_embeds(tmp_path: Path, architecture: str) -> None:
    folder = folder_of_model(tmp_path, architecture, modules=SENTENCES)
    assert model_task(folder) == "embedding"
    (folder / "modules.json").unlink()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
    assert model_task(folder) == "embedding"


def test_a_head_is_not_dropped(tmp_path: Path) -> None:
    folder = folder_of_model(tmp_path, "BertForSequenceClassification", modules=SENTENCES[:1])
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
    folder = folder_of_model(tmp_path, "BertModel")
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(ExportError, match=why):
        model_task(folder)
