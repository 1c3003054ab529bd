"""Exports a text encoder: tokens' vectors, and one vector of length 1 for each text, pooled inside the graph.

How a text's vector is made is read from what sentence-transformers stores beside a model; without that it is the mean
of the tokens' vectors, padding left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .export_torch import STAY, ExportError, loaded, name_axes, save, traced
else:
    from export_torch import STAY, ExportError, loaded, name_axes, save, traced

OUTPUTS = ("token_embeddings", "sentence_embedding")
POOLINGS = ("mean", "cls")
# Steps of a sentence-transformer that the graph holds; another one would change the vectors.
KNOWN = {"Transformer", "Pooling", "Normalize"}
UNLIMITED = 10**9  # what transformers writes for a tokenizer without a limit is larger


def export(folder: Path, out: Path) -> dict[str, Any]:
    """Write `out`/model.onnx in float32; what inference.json says of it. Raises ExportError."""
    pooling = _pooling(folder)
    import torch
    from transformers import AutoModel, AutoTokenizer

    model = loaded(folder, AutoModel)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    length = _max_length(folder, model.config, tokenizer)
    # Batch and length are of no power and not equal, so that no axis is taken for another or for a constant.
    inputs = {
        "input_ids": torch.full((2, 7), tokenizer.pad_token_id or 0),
        "attention_mask": torch.tensor([[1] * 7, [1] * 5 + [0] * 2]),
    }
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=1, max=length)}
    graph = traced(_module(model, pooling), inputs, dict.fromkeys(inputs, axes), OUTPUTS)
    name_axes(graph, dict(zip(map(str, graph.graph.inputs[0].shape), ("batch", "length"), strict=True)))
    save(graph, out / "model.onnx")
    return {
        "pooling": pooling,
        "max_length": length,
        "dimension": model.config.hidden_size,
        "inputs": list(inputs),
        "outputs": list(OUTPUTS),
        "padding": {"id": tokenizer.pad_token_id or 0, "token": tokenizer.pad_token or ""},
    }


def _module(model: Any, pooling: str) -> Any:
    """The model with its pooling, as one module. Made here, since torch is imported only where a model is."""
    import torch

    class Encoder(torch.nn.Module):  # type: ignore[misc]  # nothing here has torch's types
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.config = model.config

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            tokens = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            if pooling == "cls":
                pooled = tokens[:, 0]
            else:
                mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
                pooled = (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
            return {OUTPUTS[0]: tokens, OUTPUTS[1]: torch.nn.functional.normalize(pooled, dim=-1)}

    return Encoder().eval()


def _pooling(folder: Path) -> str:
    """How a text's vector is made of its tokens'. Raises ExportError for a way that the graph would not hold."""
    steps = {str(step["type"]).rpartition(".")[2] for step in _json(folder / "modules.json") or ()}
    if other := sorted(steps - KNOWN):
        raise ExportError(f"modules.json names steps that are not exported: {', '.join(other)}; {STAY}")
    told = _json(folder / "1_Pooling" / "config.json")
    if not told:
        return "mean"
    modes = [key for key, on in told.items() if key.startswith("pooling_mode_") and on]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    named = [told["pooling_mode"]] if "pooling_mode" in told else [names.get(mode, mode) for mode in modes]
    if len(named) != 1 or named[0] not in POOLINGS:
        raise ExportError(f"1_Pooling/config.json pools by {', '.join(named) or 'nothing'}, not by mean or cls; {STAY}")
    return str(named[0])


def _max_length(folder: Path, config: Any, tokenizer: Any) -> int:
    """The tokens that are read of a text: what sentence-transformers says, else what tokenizer and model can."""
    told = _json(folder / "sentence_bert_config.json") or {}
    if told.get("max_seq_length"):
        return int(told["max_seq_length"])
    limits = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", UNLIMITED)]
    found = min(limits)
    if found >= UNLIMITED:
        raise ExportError(f"neither tokenizer_config.json nor config.json says how long a text may be; {STAY}")
    return int(found)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise ExportError(f"{path.name} is no JSON: {error}") from error
