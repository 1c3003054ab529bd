"""all-MiniLM-L6-v2 through transformers' AutoModel; sentence-transformers and its scipy are not needed."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

LONGEST = 256  # tokens; what follows is cut off. max_seq_length in the model's sentence_bert_config.json


class MiniLM:
    """Encodes texts; not for two threads at once."""

    def __init__(self, weights: Path) -> None:
        """Load from a folder with config.json, model.safetensors, tokenizer.json; raises OSError without."""
        if not (weights / "config.json").is_file():  # transformers would take the path for a name on a hub
            raise FileNotFoundError(f"{weights} holds no model: no config.json")
        self._tokenizer = AutoTokenizer.from_pretrained(weights)
        self._model = AutoModel.from_pretrained(weights, dtype=torch.float32).eval()

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector of length 1 per text: the mean of its tokens' vectors, padding left out."""
        batch = self._tokenizer(list(texts), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        with torch.inference_mode():
            tokens = self._model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (tokens * mask).sum(dim=1) / mask.sum(dim=1)
            vectors: list[list[float]] = torch.nn.functional.normalize(mean).tolist()
        return vectors
