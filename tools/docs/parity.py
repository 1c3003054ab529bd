"""Parity: how near the answers of exported models are to torch's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import NONE, table
from .inputs import Inputs

COMMAND = "`slimbake check --images --record`"

_VECTORS = (  # heading, key of a figure, how it is written
    ("least cosine", "min-cosine", ".5f"),
    ("mean cosine", "mean-cosine", ".5f"),
    ("top-10", "top10", ".3f"),
)
_TOKENS = (
    ("equal tokens", "tokens", ".1%"),
    ("perplexity", "perplexity", ".3%"),
    ("nats", "logprobs", ".4f"),
)


def figures(inputs: Inputs) -> str:
    """A row for each image whose answers were compared; what a task does not have is no figure."""
    found = inputs.parity
    if not found:
        return f"How near answers are to torch's: {UNMEASURED}: run {COMMAND}."
    return "\n\n".join(
        (
            (
                "Answers of the final image, through the service's own code, beside torch's in"
                f" float32 from the base without optimisation ([how](how-to/onnx.md#parity)): {COMMAND}."
                " *Other ids*: strings with other token ids. *Top-10*: agreement of neighbours. *Equal"
                " tokens*: of greedy ones. *Perplexity*: its change. *Nats*: by how much"
                " log-probabilities are off."
            ),
            *_tables(found),
        )
    )


def _tables(found: Mapping[str, Any]) -> Iterator[str]:
    """A table of images that answer with vectors, and one of those that answer with tokens."""
    for columns in (_VECTORS, _TOKENS):
        keys = [key for _, key, _ in columns]
        rows = []
        for service, of in sorted(found.items()):
            if not any(key in of for key in keys):
                continue
            texts = of.get("texts") or f"{of['prompts']} prompts, {of['passages']} passages"
            ids = f"{len(of['different'])} of {of['strings']}"
            cells = [format(of[key], form) if key in of else NONE for _, key, form in columns]
            rows.append((service, str(texts), ids, *cells))
        if rows:
            yield table(("image", "texts", "other ids", *(column[0] for column in columns)), rows)
