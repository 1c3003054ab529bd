"""How nlg's own code is asked where its model is compared with torch's."""

import functools

from slimbake_models import Model, load

LONGEST = 10**6  # tokens; more than any text here has


def generate(prompt: str, n: int) -> list[int]:
    """The likeliest tokens after a prompt, as the service streams them."""
    return [piece.token for piece in _model().generate(prompt, n, temperature=0)]


def logprobs(ids: list[int]) -> list[float]:
    """How likely each token is after those before it."""
    return _model().logprobs(ids)


def ids(texts: list[str]) -> list[list[int]]:
    """The tokens of a prompt, however long."""
    return _model().ids(texts, LONGEST)


@functools.cache
def _model() -> Model:
    from atlas_common import settings
    from nlg.app import Settings

    read = settings.read(Settings)
    return load(read.weights, read.dtype)
