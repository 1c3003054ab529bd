"""How hybrid's own code is asked where its model is compared with torch's."""

import functools

from atlas_minilm.graph import Graph


def embed(texts: list[str]) -> list[list[float]]:
    """The vectors by which the service searches."""
    return [encoded.vector.tolist() for encoded in _model().encode(texts)]


def ids(texts: list[str]) -> list[list[int]]:
    """The tokens that its model is given."""
    return [_model().tokenizer.encode(text).ids for text in texts]


@functools.cache
def _model() -> Graph:
    from atlas_common import settings
    from hybrid.app import Settings

    return Graph(settings.read(Settings).weights)
