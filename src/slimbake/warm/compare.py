"""Warm lists as they are beside what a trace finds. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from slimbake.config.naming import WARM
from slimbake.inside.cold.layout import SOURCE

SHOWN = 5  # names of modules in a cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a trace says of the list of one layer."""

    layer: str
    lines: int
    added: tuple[str, ...]  # what a start uses, and the list does not name
    gone: tuple[str, ...]  # what the list names, and no start uses any more


def compared(layer: str, before: Collection[str], now: Collection[str]) -> Refreshed:
    """What differs between the list of a layer and what a trace found."""
    listed = {*before, *(line.removesuffix(SOURCE) for line in before)}
    return Refreshed(
        layer=layer,
        lines=len(now),
        added=tuple(sorted({*now} - listed)),
        gone=tuple(sorted({*before} - {*now})),
    )


def refreshed_text(refreshed: Iterable[Refreshed]) -> str:
    """For people: a line for each list."""
    return "\n".join(
        f"{layer.layer}: {layer.lines:,} modules stay warm; new {_some(layer.added)}; no longer used"
        f" {_some(layer.gone)}"
        for layer in refreshed
    )


def cold_at_start(refreshed: Iterable[Refreshed]) -> str:
    """Which starts use what is not in a list; "" where none does."""
    return "\n".join(
        f"{WARM}/{layer.layer}.txt: a start uses {_some(layer.added)} from the cold store"
        for layer in refreshed
        if layer.added
    )


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{more}" if names else "0"
