"""Exports a classifier of texts, of pairs of texts, or of tokens: its logits.

Output of the graph: `logits`, [batch, labels], or of tokens [batch, length, labels]. What the
logits mean, and where a sigmoid or a softmax belongs, is left to the service.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..model_task import Task, files_in, model_labels
from .encoder import INPUTS, export_texts
from .tracing import load_model

TYPES = "token_type_ids"  # which text of a pair a token belongs to


def load_classifier(folder: Path, task: Task) -> Any:
    """The torch model with its head, in float32. Raises ExportError."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    texts = task == "classification"
    auto = AutoModelForSequenceClassification if texts else AutoModelForTokenClassification
    return load_model(folder, auto)


def export_classifier(folder: Path, out: Path, task: Task) -> dict[str, Any]:
    """Write `out`/model.onnx in float32; return what goes into inference.json.

    That is the labels in the order of the logits, and the inputs: `token_type_ids` is one of them
    where tokenizer and model tell the texts of a pair apart by it. Raises ExportError.
    """
    from transformers import AutoTokenizer

    model = load_classifier(folder, task)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    several = getattr(model.config, "type_vocab_size", 0) > 1
    types = (TYPES,) if several and TYPES in tokenizer.model_input_names else ()
    said = export_texts(_module(model), folder, (*INPUTS, *types), ["logits"], out)
    return {"labels": list(model_labels(files_in(folder))), **said}


def _module(model: Any) -> Any:
    """The model with its logits alone, as a module."""
    import torch

    class Classifier(torch.nn.Module):  # type: ignore[misc]  # nothing here has torch's types
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.config = model.config

        def forward(
            self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None
        ) -> dict[str, Any]:
            types = {} if token_type_ids is None else {TYPES: token_type_ids}
            output = self.model(input_ids=input_ids, attention_mask=attention_mask, **types)
            return {"logits": output.logits}

    return Classifier().eval()
