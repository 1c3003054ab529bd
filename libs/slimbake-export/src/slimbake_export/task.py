"""What a model is for, by the files beside its weights; and which one would be another as a graph.

The class that saved a model says by the end of its name what the weights are for. What transformers
itself refuses to load is not asked here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from .tracing import STAY, ExportError

Task = Literal["embedding", "generation"]

# Heads that predict the next token; GPT-2 and its contemporaries are LMHeadModels.
GENERATORS = ("ForCausalLM", "LMHeadModel")
# Steps of a sentence-transformer that the graph has; any other step would change the vectors.
STEPS = {"Transformer", "Pooling", "Normalize"}
POOLINGS = ("mean", "cls")
POOLING = "1_Pooling/config.json"
UNLIMITED = 10**9  # transformers writes a larger number for a tokenizer without a limit
SAVE = "AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"


def model_task(folder: Path) -> Task:
    """What a model is for: a vector for each text, or text that goes on.

    Raises ExportError where its graph would be another model.
    """
    config = read_json(folder / "config.json")
    names = config.get("architectures") if isinstance(config, dict) else None
    if not isinstance(names, list) or not names:
        raise ExportError(
            "there is no config.json that names the model's class (`architectures`): name a folder"
            " that save_pretrained of transformers wrote. Of a GGUF file, these are the weights that"
            f" it was made from; an adapter has to be merged into its model; {STAY}"
        )
    architecture = str(names[0])
    if config.get("quantization_config"):
        raise ExportError(
            "the weights are quantised already: use those that they were made from, with"
            f" `precision: int8`; {STAY}"
        )
    # Processors are of models that read images or sound.
    if config.get("is_encoder_decoder") or any(folder.glob("*processor_config.json")):
        raise ExportError(
            f"{architecture} has an encoder and a decoder, or reads images or sound, and only models"
            f" of text with one of them can be exported; {STAY}"
        )
    # A model whose vectors are pooled embeds, whichever class trained it.
    if "Pooling" in _steps(folder) or (folder / POOLING).is_file():
        return "embedding"
    if architecture.endswith(GENERATORS):
        return "generation"
    if architecture.endswith("Model"):
        return "embedding"
    heads = ", ".join(f"...{end}" for end in GENERATORS)
    raise ExportError(
        f"{architecture} has a head that an export would drop: embedding models (...Model) and"
        f" the heads {heads} can be exported; of an embedding model, save the weights without the"
        f" head: {SAVE}; {STAY}"
    )


def model_pooling(folder: Path) -> str:
    """How an embedding model pools the vectors of a text's tokens, `mean` or `cls`.

    As sentence-transformers stored it; without such files the mean. Raises ExportError for a way
    that an exported graph cannot have.
    """
    steps = _steps(folder)
    if other := sorted(steps.keys() - STEPS):
        raise ExportError(
            f"modules.json names steps that are not exported: {', '.join(other)}; {STAY}"
        )
    if steps and steps.get("Pooling") != POOLING.partition("/")[0]:
        raise ExportError(f"modules.json does not pool as {POOLING} says; {STAY}")
    config = read_json(folder / POOLING)
    if not config:
        return "mean"
    modes = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    named = [
        modes.get(key, key) for key, on in config.items() if key.startswith("pooling_mode_") and on
    ]
    if "pooling_mode" in config:
        named = [str(config["pooling_mode"])]
    if len(named) != 1 or named[0] not in POOLINGS:
        raise ExportError(
            f"{POOLING} pools by {', '.join(named) or 'nothing'}, not by mean or cls; {STAY}"
        )
    return str(named[0])


def max_length(folder: Path, model: Any, tokenizer: Any) -> int:
    """The tokens that are read of a text: by sentence-transformers, else by tokenizer and model.

    RoBERTa and what comes of it count positions from after that of the padding.
    """
    if limit := (read_json(folder / "sentence_bert_config.json") or {}).get("max_seq_length"):
        return int(limit)
    positions = getattr(model.config, "max_position_embeddings", UNLIMITED)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    length = min(tokenizer.model_max_length, positions - (0 if padding is None else padding + 1))
    if length >= UNLIMITED:
        raise ExportError(
            f"neither tokenizer_config.json nor config.json says how long a text may be; {STAY}"
        )
    return int(length)


def read_json(path: Path) -> Any:
    """What a file holds; None where there is none. Raises ExportError."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise ExportError(f"{path.name} is no JSON: {error}") from error


def _steps(folder: Path) -> dict[str, str]:
    """The steps of a sentence-transformer and their folders, as stored beside its model."""
    return {
        str(step["type"]).rpartition(".")[2]: str(step.get("path", ""))
        for step in read_json(folder / "modules.json") or ()
    }
