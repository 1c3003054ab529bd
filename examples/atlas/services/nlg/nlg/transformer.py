"""A decoder through transformers' AutoModelForCausalLM; the one shipped here is a Gemma."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM


class Transformer:
    """A model that reads tokens; not for two threads at once, but several texts may take turns."""

    def __init__(self, weights: Path, dtype: str) -> None:
        """Load from a folder with config.json and model.safetensors; raises OSError without."""
        self.model = AutoModelForCausalLM.from_pretrained(weights, dtype=dtype).eval()
        self.window: int = self.model.config.get_text_config().max_position_embeddings
        ends = self.model.generation_config.eos_token_id
        self.ends = frozenset(ends if isinstance(ends, list) else [ends])

    def read(self, ids: Sequence[int], cache: Any = None) -> tuple[NDArray[np.float32], Any]:
        # Not around a whole continuation: the mode belongs to a thread and would last while others
        # work in it.
        with torch.inference_mode():
            output = self.model(
                input_ids=torch.tensor([ids]), cache=cache, use_cache=True, logits_to_keep=1
            )
        return output.logits[0, -1].float().numpy(), output.cache

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        with torch.inference_mode():
            every: NDArray[np.float32] = (
                self.model(input_ids=torch.tensor([ids])).logits[0].float().numpy()
            )
        return every
