"""A causal language model through transformers' AutoModelForCausalLM; the one shipped here is a Gemma."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import AutoModelForCausalLM, AutoTokenizer

from nlg.app import Piece


class CausalModel:
    """Continues prompts; not for two threads at once, but several continuations may take turns."""

    def __init__(self, weights: Path, dtype: str = "float32") -> None:
        """Load from a folder with config.json, model.safetensors, tokenizer.json; raises OSError without."""
        if not (weights / "config.json").is_file():  # transformers would take the path for a name on a hub
            raise FileNotFoundError(f"{weights} holds no model: no config.json")
        # Keeps <bos> and the end of a prompt that is too long: there stands what is to be continued.
        self.tokenizer = AutoTokenizer.from_pretrained(weights, truncation_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(weights, dtype=dtype).eval()
        self._window: int = self.model.config.get_text_config().max_position_embeddings
        ends = self.model.generation_config.eos_token_id
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])

    def generate(self, prompt: str, max_new_tokens: int, temperature: float) -> Iterator[Piece]:
        """Yield tokens one by one until the model ends the text; temperature 0 takes the likeliest each time.

        A generator of our own and not model.generate: whoever stops asking for tokens stops the work.
        """
        most = min(max_new_tokens, self._window - 1)
        room = self._window - most
        encoded = self.tokenizer(prompt, truncation=True, max_length=room, return_tensors="pt")
        ids = encoded["input_ids"]
        text = DecodeStream(skip_special_tokens=True)
        cache = None
        for _ in range(most):
            logits, cache = self._step(ids, cache)
            token = _choose(logits, temperature)
            if token in self._ends:
                return
            # None while the bytes do not make up a character yet
            yield Piece(token=token, text=text.step(self.tokenizer.backend_tokenizer, token) or "")
            ids = torch.tensor([[token]])

    def _step(self, ids: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        # Not around the whole generator: the mode belongs to a thread and would last while others work in it.
        with torch.inference_mode():
            output = self.model(input_ids=ids, cache=cache, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1], output.cache


def _choose(logits: torch.Tensor, temperature: float) -> int:
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1))
