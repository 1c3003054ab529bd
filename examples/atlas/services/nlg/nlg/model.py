"""The model in either form: as torch's weights, or exported to ONNX. A form's packages are imported
only with it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
        """Read on after `cache`, or from the start: the logits of what may come after the last, and
        the new cache.
        """
        ...

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Of each place of a text, read whole and without a cache, the logits of what may come
        after it.
        """
        ...


class CausalModel:
    """Continues prompts; not for two threads at once, but several continuations may take turns."""

    def __init__(self, tokenizer: Tokenizer, decoder: Decoder) -> None:
        self.decoder = decoder
        self._tokenizer = tokenizer
        self._random = np.random.default_rng()

    def generate(self, prompt: str, max_new_tokens: int, temperature: float) -> Iterator[Piece]:
        """Yield tokens one by one until the model ends the text; temperature 0 takes the likeliest
        each time.

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
        """Return at most so many tokens: <bos>, and the end of the prompt, for there stands what is
        to be continued.
        """
        self._tokenizer.enable_truncation(most, direction="left")
        ids: list[int] = self._tokenizer.encode(prompt).ids
        return ids

    def _choose(self, logits: NDArray[np.float32], temperature: float) -> int:
        if temperature == 0:
            return int(logits.argmax())
        scaled = logits.astype(np.float64) / temperature
        odds = np.exp(scaled - scaled.max())
        return int(self._random.choice(len(odds), p=odds / odds.sum()))


def load(weights: Path, dtype: str = "float32") -> CausalModel:
    """Load what the folder holds; raises OSError where that is no model. `dtype`: what torch
    computes in.
    """
    decoder = form(weights, dtype)(weights)
    return CausalModel(Tokenizer.from_file(str(weights / "tokenizer.json")), decoder)


def form(weights: Path, dtype: str = "float32") -> Callable[[Path], Decoder]:
    """What loads and runs the model of a folder, with all that it imports."""
    if not (weights / "tokenizer.json").is_file():
        raise FileNotFoundError(f"{weights} holds no model: no tokenizer.json")
    if (weights / "model.onnx").is_file():
        from nlg.graph import Graph

        return Graph
    if not (
        weights / "config.json"
    ).is_file():  # transformers would take the path for a name on a hub
        raise FileNotFoundError(f"{weights} holds no model: no config.json")
    from nlg.transformer import Transformer

    return partial(Transformer, dtype=dtype)
