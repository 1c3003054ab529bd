"""Exports a decoder, any that transformers' AutoModelForCausalLM loads, with its cache of keys and values.

Inputs of the graph: `input_ids` [batch, length]; `attention_mask` [batch, past + length], where 0 hides padding, which
stands left of a text; `past_key_values.N.key` and `.value` [batch, heads, past, size], empty where a text begins.
Outputs: `logits` [batch, length, vocabulary]; `present.N.key` and `.value`, the past of the next step. Positions are
counted inside, from the mask: whoever runs the graph cannot count them wrongly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

if TYPE_CHECKING or __package__:
    from .export_torch import STAY, ExportError, loaded, save, traced
else:
    from export_torch import STAY, ExportError, loaded, save, traced

# Of the texts that are traced: unlike each other, and not 1, for what is alike or 1 is taken for a constant.
BATCH, LENGTH, PAST = 2, 3, 5
BATCHES, LENGTHS, PASTS = (torch.export.Dim.DYNAMIC,) * 3


class Decoder(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """A decoder whose cache comes and goes as tensors."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, past_key_values: list[dict[str, torch.Tensor]]
    ) -> dict[str, Any]:
        cache = DynamicCache()  # of layers that keep all: of one that looks back so far only, the mask says how far
        for layer, past in enumerate(past_key_values):
            cache.update(past["key"], past["value"], layer)
        positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, -input_ids.shape[1] :]
        output = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, cache=cache, use_cache=True
        )
        return {"logits": output.logits, "present": _pairs(output.cache)}


def export(folder: Path, out: Path) -> dict[str, Any]:
    """Write `out`/model.onnx in float32. What a service needs to know: the most tokens that the model can look at, read
    and written together, and the tokens that end a text. Raises ExportError.
    """
    model = loaded(folder, AutoModelForCausalLM)
    past = _past(model)
    inputs = {
        "input_ids": torch.ones((BATCH, LENGTH), dtype=torch.long),
        "attention_mask": torch.ones((BATCH, PAST + LENGTH), dtype=torch.long),
        "past_key_values": past,
    }
    dynamic = {
        "input_ids": {0: BATCHES, 1: LENGTHS},
        "attention_mask": {0: BATCHES, 1: PASTS},
        "past_key_values": [{"key": {0: BATCHES, 2: PASTS}, "value": {0: BATCHES, 2: PASTS}} for _ in past],
    }
    outputs = ["logits", *(f"present.{layer}.{part}" for layer in range(len(past)) for part in ("key", "value"))]
    save(traced(Decoder(model), inputs, dynamic, outputs), out / "model.onnx")
    ends = model.generation_config.eos_token_id
    return {
        "max_length": _window(model),
        "ends": ends if isinstance(ends, list) else [] if ends is None else [ends],
    }


def _window(model: Any) -> int:
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(window, int):
        raise ExportError(f"config.json does not say how long a text may be (max_position_embeddings); {STAY}")
    return window


def _past(model: Any) -> list[dict[str, torch.Tensor]]:
    """What a model's layers keep of texts of PAST tokens: the heads and their sizes may differ from layer to layer."""
    kind = type(model).__name__
    cache = DynamicCache()
    try:
        with torch.no_grad():
            model(input_ids=torch.ones((BATCH, PAST), dtype=torch.long), cache=cache, use_cache=True)
        return _pairs(cache)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ExportError(f"{kind} keeps another cache than keys and values; {STAY}") from error


def _pairs(cache: DynamicCache) -> list[dict[str, torch.Tensor]]:
    return [{"key": layer.keys, "value": layer.values} for layer in cache.layers]
