"""How embedding's own code is asked where its model is compared with torch's."""

import functools

from slimbake_models import Model, load


def embed(texts: list[str]) -> list[list[float]]:
    """The vectors that the service answers with."""
    vectors: list[list[float]] = _model().encode(texts).tolist()
    return vectors


def ids(texts: list[str]) -> list[list[int]]:
    """The tokens that its model is given."""
    return _model().ids(texts)


@functools.cache
def _model() -> Model:
    from atlas_common import settings
    from embedding.app import Settings

    return load(settings.read(Settings).weights)
