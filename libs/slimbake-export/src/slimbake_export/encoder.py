"""Exports a text encoder: the tokens' vectors, and for each text one vector of length 1.

The graph pools the tokens' vectors as the files of sentence-transformers beside the model say;
without such files it takes their mean, without padding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .task import max_length, model_pooling
from .tracing import load_model, name_axes, save_graph, trace_graph

OUTPUTS = ("token_embeddings", "sentence_embedding")


def export_encoder(folder: Path, out: Path) -> dict[str, Any]:
    """Write `out`/model.onnx in float32, of any batch and length; return what goes into
    inference.json: how a service makes its inputs, and what the vectors are.

    Raises ExportError.
    """
    pooling = model_pooling(folder)
    import torch
    from transformers import AutoModel, AutoTokenizer

    # The pooler is trained for another task, is often left out, and is not exported.
    model = load_model(folder, AutoModel, unused="pooler.")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    length = max_length(folder, model.base_model, tokenizer)
    # Batch and length differ and are not 1, so that no axis is taken for another or for a constant.
    inputs = {
        "input_ids": torch.full((2, 7), tokenizer.pad_token_id or 0),
        "attention_mask": torch.tensor([[1] * 7, [1] * 5 + [0] * 2]),
    }
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=1, max=length)}
    graph = trace_graph(_module(model, pooling), inputs, dict.fromkeys(inputs, axes), OUTPUTS)
    shape = map(str, graph.graph.inputs[0].shape)
    name_axes(graph, dict(zip(shape, ("batch", "length"), strict=True)))
    save_graph(graph, out / "model.onnx")
    return {
        "pooling": pooling,
        "dimension": model.config.hidden_size,
        "max_length": length,
        "inputs": list(inputs),
        "outputs": list(OUTPUTS),
        "padding": {"id": tokenizer.pad_token_id or 0, "token": tokenizer.pad_token or ""},
    }


def _module(model: Any, pooling: str) -> Any:
    """The model with its pooling, as one module. In a function: importing torch takes seconds."""
    import torch

    class Encoder(torch.nn.Module):  # type: ignore[misc]  # nothing here has torch's types
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.config = model.config

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            output = self.model(input_ids=input_ids, attention_mask=attention_mask)
            tokens = output.last_hidden_state
            if pooling == "cls":
                pooled = tokens[:, 0]
            else:
                mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
                pooled = (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
            vectors = torch.nn.functional.normalize(pooled, dim=-1)
            return dict(zip(OUTPUTS, (tokens, vectors), strict=True))

    return Encoder().eval()
