"""Parity: how near the answers of exported models are to torch's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import NONE, table
from .inputs import Inputs

COMMAND = "`slimbake check --images --record`"

_COLUMNS = (  # heading, key of a figure, how it is written
    ("least cosine", "min-cosine", ".5f"),
    ("mean cosine", "mean-cosine", ".5f"),
    ("top-10 agreement", "top10", ".3f"),
    ("equal greedy tokens", "tokens", ".1%"),
    ("change of perplexity", "perplexity", ".3%"),
    ("log-probabilities off by, nats", "logprobs", ".4f"),
)


def figures(inputs: Inputs) -> str:
    """A row for each image whose answers were compared; what a task does not have is no figure."""
    found = inputs.parity
    if not found:
        return f"How near answers are to torch's: {UNMEASURED}: run {COMMAND}."
    headings = (
        "image",
        "texts",
        "strings with other token ids",
        *(heading for heading, _, _ in _COLUMNS),
    )
    return "\n\n".join(
        (
            (
                "Answers of the final image, through the service's own code, beside torch's in"
                f" float32 from the base without optimisation ([how](how-to/onnx.md#parity)): {COMMAND}."
            ),
            table(headings, _rows(found)),
        )
    )


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for service, of in sorted(found.items()):
        cells = (format(of[key], form) if key in of else NONE for _, key, form in _COLUMNS)
        texts = of.get("texts") or f"{of['prompts']} prompts, {of['passages']} passages"
        yield (service, str(texts), f"{len(of['different'])} of {of['strings']}", *cells)
