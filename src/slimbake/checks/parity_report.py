"""How near models' answers are to torch's, as a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slimbake.console.tables import text_table

HEADINGS = (
    "service",
    "token ids",
    "minimum cosine",
    "mean cosine",
    "top-10",
    "greedy tokens",
    "perplexity",
    "seconds",
)


def parity_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each service; what says nothing of its task is left empty."""
    return text_table(HEADINGS, [_row(service, each) for service, each in figures.items()])


def _row(service: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    ids = f"{found['strings'] - len(found['different'])} of {found['strings']}"
    seconds = f"{found['seconds']:.1f}"
    if found["task"] == "embedding":
        cosines = (
            f"{found['min-cosine']:.5f}",
            f"{found['mean-cosine']:.5f}",
            f"{found['top10']:.4f}",
        )
        return (service, ids, *cosines, "", "", seconds)
    change = found["service"] / found["reference"] - 1
    return (
        service,
        ids,
        "",
        "",
        "",
        f"{found['tokens']:.4f}",
        f"{found['service']:.4f} ({change:+.3%})",
        seconds,
    )
