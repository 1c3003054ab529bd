"""How nlg's own code is asked where its model is compared with torch's."""

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nlg.model import CausalModel


def generate(prompt: str, n: int) -> list[int]:
    """The likeliest tokens after a prompt, as the service streams them."""
    return [piece.token for piece in _model().generate(prompt, n, temperature=0)]


def logprobs(ids: list[int]) -> list[float]:
    """How likely each token is after those before it.

    A quarter is read at once, then one by one with the cache: so a cache that is misread, or a
    position that is off by one after it, is seen.
    """
    decoder = _model().decoder
    begun = max(1, len(ids) // 4)
    found = [
        _logprob(row, token)
        for row, token in zip(decoder.logits(ids[:begun]), ids[1:begun], strict=False)
    ]
    logits, cache = decoder.read(ids[:begun])
    for token in ids[begun:]:
        found.append(_logprob(logits, token))
        logits, cache = decoder.read([token], cache)
    return found


def ids(texts: list[str]) -> list[list[int]]:
    """The tokens of a prompt, however long."""
    return [_model().encode(text, LONGEST) for text in texts]


LONGEST = 10**6  # tokens; more than any text here has


def _logprob(logits: np.ndarray, token: int) -> float:
    exact = logits.astype(np.float64)
    most = exact.max()
    return float(exact[token] - most - np.log(np.exp(exact - most).sum()))


@functools.cache
def _model() -> "CausalModel":
    from atlas_common import settings
    from nlg.app import Settings
    from nlg.model import load

    read = settings.read(Settings)
    return load(read.weights, read.dtype)
