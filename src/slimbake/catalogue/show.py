"""Passes and the layers of a fleet that they apply to, as a table and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slimbake.catalogue.model import Pass
from slimbake.config.model import Pairs


@dataclass(frozen=True, slots=True)
class Listed:
    """A pass, and by the name of each layer that it applies to the packages there."""

    carries: Pass
    layers: tuple[tuple[str, tuple[str, ...]], ...]
    # by layer: proven, refuted, idle; with "stale" behind it where the evidence is
    verdicts: Pairs = ()
    # by layer: carried, or why not
    states: Pairs = ()


# A column more is a line more.
COLUMNS: tuple[tuple[str, Callable[[Listed], str]], ...] = (
    ("pass", lambda each: each.carries.name),
    ("guarantee", lambda each: each.carries.guarantee),
    ("layers", lambda each: where(each)),
    ("carried", lambda each: said(each.states, each.layers, "-")),
    ("evidence", lambda each: said(each.verdicts, each.layers, "none yet")),
    ("about", lambda each: each.carries.about),
    ("costs", lambda each: each.carries.costs or "-"),
)
HEADINGS = tuple(heading for heading, _ in COLUMNS)


def listed(
    passes: Iterable[Pass],
    pins: Mapping[str, Pairs],
    found: Mapping[tuple[str, str], str] = {},
    states: Mapping[tuple[str, str], str] = {},
) -> tuple[Listed, ...]:
    """Each pass beside the layers that it applies to.

    `pins`: name and version of each layer's packages; by layer and pass `found`, the verdict of its
    evidence, and `states`, whether the layer carries it.
    """
    made = []
    for each in passes:
        layers = tuple(
            (layer, concerns)
            for layer, packages in pins.items()
            if (concerns := each.applies(packages))
        )
        verdicts, carried = (
            tuple(
                (layer, reported[layer, each.name])
                for layer, _ in layers
                if (layer, each.name) in reported
            )
            for reported in (found, states if each.carried else {})
        )
        made.append(Listed(each, layers, verdicts, carried))
    return tuple(made)


def said(words: Pairs, layers: Sequence[tuple[str, object]], none: str) -> str:
    """What is said of a pass layer by layer; what all of them share is said once."""
    each = dict.fromkeys(word for _, word in words)
    if len(each) == 1 and len(words) == len(layers):
        return next(iter(each))
    return ", ".join(f"{word} on {layer}" for layer, word in words) or none


def where(each: Listed) -> str:
    """The layers that it would change; of what changes none, where it is set."""
    if each.carries.setting:
        return f"`{each.carries.setting}` of the manifest"
    if each.carries.env:
        return "`env` of the manifest"
    return ", ".join(layer for layer, _ in each.layers) or "none here"


def pass_rows(passes: Iterable[Listed]) -> list[tuple[str, ...]]:
    """The table's rows, as HEADINGS has them."""
    return [tuple(shown(each) for _, shown in COLUMNS) for each in passes]


def passes_json(passes: Iterable[Listed]) -> list[dict[str, Any]]:
    """Everything about each pass, for scripts."""
    return [
        {
            "name": each.carries.name,
            "about": each.carries.about,
            "why": each.carries.why,
            "costs": each.carries.costs,
            "guarantee": each.carries.guarantee,
            "unusable": list(each.carries.unusable),
            "carried": each.carries.carried,
            "digest": each.carries.digest,
            "packages": dict(each.carries.packages),
            "remove": list(each.carries.remove),
            "keep": list(each.carries.keep),
            "drop": list(each.carries.drop),
            "strip": each.carries.strip,
            "uncompiled": list(each.carries.uncompiled),
            "env": dict(each.carries.env),
            "setting": each.carries.setting,
            "evidence": dict(each.verdicts),
            "state": dict(each.states),
            "layers": {layer: list(packages) for layer, packages in each.layers},
        }
        for each in passes
    ]
