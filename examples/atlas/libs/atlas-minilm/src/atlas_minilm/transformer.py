"""The model through transformers' AutoModel; sentence-transformers and its scipy are not needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from atlas_minilm import Encoded, of_tokens

LONGEST = (
    256  # tokens; what follows is cut off. max_seq_length in the model's sentence_bert_config.json
)


class Transformer:
    """An Encoder."""

    def __init__(self, weights: Path) -> None:
        """Load from a folder with config.json, model.safetensors, tokenizer.json; raises OSError
        without.
        """
        self._tokenizer = AutoTokenizer.from_pretrained(weights)
        self._model = AutoModel.from_pretrained(weights, dtype=torch.float32).eval()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As Encoder says."""
        vectors, _, _ = self._run(texts)
        return vectors

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """As Encoder says."""
        return of_tokens(*self._run(texts))

    def _run(
        self, texts: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        cut: Any = {"padding": True, "truncation": True, "max_length": LONGEST}
        batch = self._tokenizer(list(texts), return_tensors="pt", **cut)
        with torch.inference_mode():
            tokens = self._model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (tokens * mask).sum(dim=1) / mask.sum(dim=1)
            vectors = torch.nn.functional.normalize(mean)
        return vectors.numpy(), tokens.numpy(), batch["attention_mask"].numpy()
