"""Continues prompts with a causal language model, in whichever form it lies in the weights' folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from nlg.app import Piece


class Decoder(Protocol):
    """A model that has read some tokens, kept in a cache, and reads on."""

    window: int
    """The most tokens that it can look at, read and written together."""
    ends: frozenset[int]
    """The tokens that end a text."""

    def read(self, ids: Sequence[int], cache: Any = None) -> tuple[NDArray[np.float32], Any]:
        """Read on after `cache`, or from the start: the logits of what may come after the last, and the new cache."""
        ...

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Of each place of a text, read whole and without a cache, the logits of what may come after it."""
        ...


class CausalModel:
    """Continues prompts; not for two threads at once, but several continuations may take turns."""

    def __init__(self, tokenizer: Tokenizer, decoder: Decoder) -> None:
        self.decoder = decoder
        self._tokenizer = tokenizer
        self._random = np.random.default_rng()

    def generate(self, prompt: str, max_new_tokens: int, temperature: float) -> Iterator[Piece]:
        """Yield tokens one by one until the model ends the text; temperature 0 takes the likeliest each time.

        A generator: whoever stops asking for tokens stops the work.
        """
        most = min(max_new_tokens, self.decoder.window - 1)
        ids = self.encode(prompt, self.decoder.window - most)
        text = DecodeStream(skip_special_tokens=True)
        cache = None
        for _ in range(most):
            logits, cache = self.decoder.read(ids, cache)
            token = self._choose(logits, temperature)
            if token in self.decoder.ends:
                return
            # None while the bytes do not make up a character yet
            yield Piece(token=token, text=text.step(self._tokenizer, token) or "")
            ids = [token]

    def encode(self, prompt: str, most: int) -> list[int]:
        """Return at most so many tokens: <bos>, and the end of the prompt, for there stands what is to be continued."""
        self._tokenizer.enable_truncation(most, direction="left")
        ids: list[int] = self._tokenizer.encode(prompt).ids
        return ids

    def _choose(self, logits: NDArray[np.float32], temperature: float) -> int:
        if temperature == 0:
            return int(logits.argmax())
        scaled = logits.astype(np.float64) / temperature
        odds = np.exp(scaled - scaled.max())
        return int(self._random.choice(len(odds), p=odds / odds.sum()))


def load(weights: Path, dtype: str = "float32", threads: int = 0) -> CausalModel:
    """Load a folder with tokenizer.json and a model: an ONNX graph with inference.json, or what transformers saves.

    Each form imports only what it needs. `dtype` is what torch computes in, a graph has its own precision; `threads` is
    for a graph, torch reads OMP_NUM_THREADS itself. Raises OSError where a file is missing.
    """
    graph = weights / "model.onnx"
    if not graph.is_file() and not (weights / "config.json").is_file():  # transformers would ask a hub for the path
        raise FileNotFoundError(f"{weights} holds no model: no config.json, no model.onnx")
    if not (weights / "tokenizer.json").is_file():
        raise FileNotFoundError(f"{weights} holds no tokenizer: no tokenizer.json")
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    if graph.is_file():
        from nlg.onnx_decoder import OnnxDecoder

        return CausalModel(tokenizer, OnnxDecoder(weights, threads))
    from nlg.torch_decoder import TorchDecoder

    return CausalModel(tokenizer, TorchDecoder(weights, dtype))
