"""Exports a decoder, any that transformers' AutoModelForCausalLM loads, with its key-value cache.

Inputs of the graph: `input_ids` [batch, length]; `attention_mask` [batch, past + length], where 0
hides padding, which stands left of a text; `past_key_values.N.key` and `.value`
[batch, heads, past, size], empty at the begin of a text. Outputs: `logits`
[batch, length, vocabulary]; `present.N.key` and `.value`, the past of the next step. The graph
counts positions by the mask, so a service cannot count them wrongly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .tracing import STAY, ExportError, load_model, name_axes, save_graph, trace_graph

# Sizes of the texts that are traced. They differ and are not 1: others would become constants.
BATCH, LENGTH, PAST = 2, 3, 5


def export_decoder(folder: Path, out: Path) -> dict[str, Any]:
    """Write `out`/model.onnx in float32; return what goes into inference.json.

    That is the most tokens that the model can look at, read and written together, and the tokens
    that end a text. Raises ExportError.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = load_model(folder, AutoModelForCausalLM)
    past = _past(model)
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(window, int):
        raise ExportError(
            f"config.json does not say how long a text may be (max_position_embeddings); {STAY}"
        )
    inputs = {
        "input_ids": torch.ones((BATCH, LENGTH), dtype=torch.long),
        "attention_mask": torch.ones((BATCH, PAST + LENGTH), dtype=torch.long),
        "past_key_values": past,
    }
    varies = torch.export.Dim.DYNAMIC
    dynamic = {
        "input_ids": {0: varies, 1: varies},
        "attention_mask": {0: varies, 1: varies},
        "past_key_values": [{part: {0: varies, 2: varies} for part in layer} for layer in past],
    }
    present = (f"present.{number}.{part}" for number, layer in enumerate(past) for part in layer)
    graph = trace_graph(_module(model), inputs, dynamic, ["logits", *present])
    name_axes(graph, _axes(graph))
    save_graph(graph, out / "model.onnx")
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return {"max_length": window, "ends": [end for end in ends if end is not None]}


def _module(model: Any) -> Any:
    """The model as a module with its cache as tensors, in the names and order of the graph."""
    import torch
    from transformers import DynamicCache

    class Decoder(torch.nn.Module):  # type: ignore[misc]  # nothing here has torch's types
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, input_ids: Any, attention_mask: Any, past_key_values: list[dict[str, Any]]
        ) -> dict[str, Any]:
            # All layers keep everything: a layer with a sliding window has a mask that says so.
            cache = DynamicCache()
            for number, layer in enumerate(past_key_values):
                cache.update(layer["key"], layer["value"], number)
            positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, -input_ids.shape[1] :]
            output = self.model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=positions,
                cache=cache,
                use_cache=True,
            )
            return {"logits": output.logits, "present": _pairs(output.cache)}

    return Decoder().eval()


def _past(model: Any) -> list[dict[str, Any]]:
    """The cache of texts of PAST tokens: heads and their sizes may differ from layer to layer."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache()
    try:
        with torch.no_grad():
            model(
                input_ids=torch.ones((BATCH, PAST), dtype=torch.long), cache=cache, use_cache=True
            )
        return _pairs(cache)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        kind = type(model).__name__
        raise ExportError(f"{kind} keeps another cache than keys and values; {STAY}") from error


def _pairs(cache: Any) -> list[dict[str, Any]]:
    return [{"key": layer.keys, "value": layer.values} for layer in cache.layers]


def _axes(graph: Any) -> dict[str, str]:
    """The names of the axes that vary, by the numbers that torch gives them."""
    shapes = {value.name: [str(axis) for axis in value.shape] for value in graph.graph.inputs}
    names = dict(zip(shapes["input_ids"], ("batch", "length"), strict=True))
    total, past = shapes["attention_mask"][1], shapes["past_key_values.0.key"][2]
    return {**names, total: "total", past: "past"}
