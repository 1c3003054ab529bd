"""docs/inference-figures.md: what a precision costs and saves, of an encoder and of a decoder. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import mb, table
from .inputs import Inputs

TORCH = "torch, fp32"
_ENCODER = (
    "form",
    "MB",
    "least cosine",
    "top-10",
    "ms",
    "texts/s",
)
_DECODER = ("form", "MB", "perplexity", "likeliest", "equal tokens", "tokens/s")


def page(inputs: Inputs) -> str:
    """The whole page."""
    return "\n\n".join(
        ("# What a precision costs and saves", *_encoder(inputs.precision), *_decoder(inputs))
    )


def _encoder(found: Mapping[str, Any]) -> Iterator[str]:
    if not found:
        yield f"Of an encoder: {UNMEASURED}: run `bench/precision.py`."
        return
    yield "## An encoder"
    yield (
        f"all-MiniLM-L6-v2 and {found['texts']} texts of {found['source']}, by `bench/precision.py`:"
        f" {_where(found)}."
    )
    rows = found["forms"].items()
    yield table(_ENCODER, (_encoded(form, row) for form, row in rows))
    yield (
        "MB are bytes of the weights' file. Cosines and the ten nearest texts (top-10) are compared"
        " with torch's. Median ms of a single text, texts/s in batches of 16: one thread."
    )


def _encoded(form: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    one = row["1"]
    return (
        form,
        mb(row["bytes"]),
        f"{row['least']:.5f}",
        f"{row['agreement']:.3f}",
        f"{one['median'] * 1000:.1f}",
        f"{one['rate']:.0f}",
    )


def _decoder(inputs: Inputs) -> Iterator[str]:
    found = inputs.generation
    if not found:
        yield f"Of a decoder: {UNMEASURED}: run `bench/generation.py`."
        return
    yield "## A decoder"
    yield (
        f"nlg's model (Gemma, 1.5 million parameters), {found['windows']} held-out windows of 256"
        f" tokens and {found['prompts']} prompts of the documentation in {found['text']}, by"
        f" `bench/generation.py`: {_where(found)}."
    )
    yield table(_DECODER, _decoded(found["forms"].items()))
    yield (
        "*Likeliest*: how often the likeliest next token is torch's. *Equal tokens*: of 64, before the"
        " first that differs, mean. One thread."
    )


def _decoded(forms: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, ...]]:
    rows = dict(forms)
    torch = rows[TORCH]["perplexity"]
    for form, row in rows.items():
        yield (
            form,
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['perplexity']:.2f} ({row['perplexity'] / torch - 1:+.2%})",
            f"{row['likeliest']:.1%}",
            f"{row['first']:.1f}",
            f"{row['rate']:,.0f}",
        )


def _where(found: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{versions}; {found['machine']}; {found['cpu']}"
