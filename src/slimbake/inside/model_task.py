"""What a model is for, by the files beside its weights; and why one cannot be exported.

Serves both sides: `validate` and `fetch` ask it on this machine, and the export asks it again. So
it needs neither torch nor transformers, which know model classes by name: the class that saved a
model says by the end of its name what the weights are for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import filter as matching
from pathlib import Path
from typing import Any, Literal, NamedTuple

Task = Literal["embedding", "generation"]

# Heads that predict the next token; GPT-2 and its contemporaries are LMHeadModels.
GENERATORS = ("ForCausalLM", "LMHeadModel")
# What transformers makes a fast tokenizer from without the package sentencepiece.
TOKENIZERS = ({"tokenizer.json"}, {"vocab.txt"}, {"vocab.json", "merges.txt"})
# Written for models that read images or sound.
PREPROCESSORS = (
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
# Steps of a sentence-transformer that the graph has; any other step would change the vectors.
STEPS = {"Transformer", "Pooling", "Normalize"}
POOLINGS = ("mean", "cls")
POOLING = "1_Pooling/config.json"
SAVE = "AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"


class UnsupportedModelError(Exception):
    """The model cannot be exported; `fix` says what changes that, "" where nothing does."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class ModelFiles(NamedTuple):
    """A model's folder: the paths of its files, relative to it, and what reads one as text.

    `read` raises ValueError for a file that is no text.
    """

    names: frozenset[str]
    read: Callable[[str], str]

    def top(self, *patterns: str) -> list[str]:
        """The files that lie in the folder itself and match one of these patterns, sorted."""
        here = [name for name in self.names if "/" not in name]
        return sorted(name for pattern in patterns for name in matching(here, pattern))

    def json(self, name: str) -> Any:
        """What a file holds; None where there is none. Raises UnsupportedModelError."""
        if name not in self.names:
            return None
        try:
            return json.loads(self.read(name))
        except ValueError as error:
            raise UnsupportedModelError(f"{name} is no JSON: {error}") from error


def files_in(folder: Path) -> ModelFiles:
    """The files of a folder; none where there is no folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = frozenset(path.relative_to(folder).as_posix() for path in paths)
    return ModelFiles(names, lambda name: (folder / name).read_text(encoding="utf-8"))


def model_task(files: ModelFiles) -> Task:
    """What a model is for: a vector for each text, or text that goes on.

    Raises UnsupportedModelError where its export would be another model, or cannot succeed.
    """
    config = _config(files)
    architecture = _architecture(config)
    _refuse_custom_code(config, files)
    _refuse_weights(config, files)
    if config.get("is_encoder_decoder"):
        raise UnsupportedModelError(
            f"{architecture} has an encoder and a decoder, and only models with one of them can be"
            " exported"
        )
    if any(name in files.names for name in PREPROCESSORS) or "vocab_size" not in config:
        raise UnsupportedModelError(
            f"{architecture} reads images, sound or other things than text, and only models of"
            " text can be exported"
        )
    _refuse_tokenizer(files)
    # A model whose vectors are pooled embeds, whichever class trained it.
    if "Pooling" in _steps(files) or POOLING in files.names:
        model_pooling(files)
        return "embedding"
    if architecture.endswith(GENERATORS):
        return "generation"
    if architecture.endswith("Model"):
        model_pooling(files)
        return "embedding"
    heads = ", ".join(f"...{end}" for end in GENERATORS)
    raise UnsupportedModelError(
        f"{architecture} has a head that an export would drop: embedding models (...Model) and"
        f" the heads {heads} can be exported",
        "`inference: torch` runs it; of an embedding model, save the weights without the head:"
        f" {SAVE}",
    )


def model_pooling(files: ModelFiles) -> str:
    """How an embedding model pools the vectors of a text's tokens, `mean` or `cls`.

    As sentence-transformers stored it; without such files the mean. Raises UnsupportedModelError
    for a way that an exported graph cannot have.
    """
    steps = _steps(files)
    if other := sorted(steps.keys() - STEPS):
        raise UnsupportedModelError(
            f"modules.json names steps that are not exported: {', '.join(other)}"
        )
    if steps and steps.get("Pooling") != POOLING.partition("/")[0]:
        raise UnsupportedModelError(f"modules.json does not pool as {POOLING} says")
    config = files.json(POOLING)
    if not config:
        return "mean"
    modes = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    named = (
        [config["pooling_mode"]]
        if "pooling_mode" in config
        else [
            modes.get(key, key)
            for key, on in config.items()
            if key.startswith("pooling_mode_") and on
        ]
    )
    if len(named) != 1 or named[0] not in POOLINGS:
        raise UnsupportedModelError(
            f"{POOLING} pools by {', '.join(map(str, named)) or 'nothing'}, not by mean or cls"
        )
    return str(named[0])


def _steps(files: ModelFiles) -> dict[str, str]:
    """The steps of a sentence-transformer and their folders, as stored beside its model."""
    try:
        return {
            str(step["type"]).rpartition(".")[2]: str(step.get("path", ""))
            for step in files.json("modules.json") or ()
        }
    except (AttributeError, TypeError, KeyError):
        raise UnsupportedModelError("modules.json is no list of steps with a type") from None


def _config(files: ModelFiles) -> dict[str, Any]:
    if files.top("*.gguf") and not files.top("*.safetensors"):
        raise UnsupportedModelError(
            "the weights are in llama.cpp's format, GGUF, and those of transformers are exported",
            "use the weights that the GGUF file was made from: config.json and *.safetensors",
        )
    config = files.json("config.json")
    if config is None and "adapter_config.json" in files.names:
        raise UnsupportedModelError(
            "the weights are an adapter (adapter_config.json) without its model",
            "merge it into its model: merge_and_unload() of peft, then save_pretrained(FOLDER)",
        )
    if config is None:
        raise UnsupportedModelError(
            "there is no config.json, which says what the model is",
            "name the folder that save_pretrained of transformers wrote",
        )
    if not isinstance(config, dict):
        raise UnsupportedModelError("config.json is no model's config: it holds no mapping")
    return config


def _architecture(config: dict[str, Any]) -> str:
    """The class that saved the model."""
    names = config.get("architectures")
    if isinstance(names, list) and names and isinstance(names[0], str):
        return names[0]
    raise UnsupportedModelError(
        "config.json does not name the model's class (`architectures`), so nothing says what the"
        " model is for",
        f"save the model again with its own class, which writes it: {SAVE}",
    )


def _refuse_custom_code(config: dict[str, Any], files: ModelFiles) -> None:
    tokenizer = files.json("tokenizer_config.json")
    for name, settings in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        if isinstance(settings, dict) and settings.get("auto_map"):
            raise UnsupportedModelError(
                f"{name} names code of the model's own (`auto_map`, for trust_remote_code), and no"
                " build runs such code",
                f"if transformers has this class itself, remove `auto_map` from {name}",
            )


def _refuse_weights(config: dict[str, Any], files: ModelFiles) -> None:
    if method := config.get("quantization_config"):
        kind = method.get("quant_method") if isinstance(method, dict) else ""
        raise UnsupportedModelError(
            f"the weights are quantised already{f' ({kind})' if kind else ''}",
            "use the weights that they were made from, with `precision: int8`",
        )
    if files.top("*.safetensors"):
        return
    if pickles := files.top("*.bin", "*.pt", "*.pth"):
        raise UnsupportedModelError(
            f"the weights are no safetensors but a pickle, which can run code: {pickles[0]}",
            f"convert them with the class that config.json names in place of AutoModel: {SAVE}",
        )
    raise UnsupportedModelError("there are no weights: no *.safetensors")


def _refuse_tokenizer(files: ModelFiles) -> None:
    if any(names <= files.names for names in TOKENIZERS):
        return
    save = "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    if pieces := files.top("*.model"):
        raise UnsupportedModelError(
            f"the tokenizer is in sentencepiece's format alone ({pieces[0]}), and a service without"
            " transformers reads tokenizer.json",
            f"write tokenizer.json where sentencepiece is installed: {save}",
        )
    raise UnsupportedModelError(
        "there is no tokenizer.json, which a service without transformers reads",
        f"write it from the tokenizer that the model was trained with: {save}",
    )
