"""Explains in one screen why the layers of a family cannot be resolved together, and the ways out.
Pure.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slimbake.config.specs import name_of, normalised
from slimbake.fleet.model import Layer
from slimbake.lock.explain import ResolutionError
from slimbake.lock.model import Family

_LINES = 12  # of uv's own words: the rest of a long derivation helps nobody
_ASKED = 8  # requirements that are named
_TRIALS = 40  # more layers than that are named without a search for the few that conflict

_NO_WHEEL = re.compile(r"no usable wheels|no wheels with a matching|no wheels are usable")

Resolve = Callable[[Sequence[Layer], Mapping[str, str], str], Any]


def explained(family: Family, words: str, resolve: Resolve) -> ResolutionError:
    """The error for a family that has no solution; `words` are uv's, `resolve` raises where layers
    have none.
    """
    alone, culprits = _culprits(family, resolve)
    mentioned = {
        normalised(word) for word in re.findall(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", words)
    }
    asked = [
        f"  {layer.name} asks for {spec}   ({', '.join(layer.asks.files) or 'in the manifest'})"
        for layer in culprits
        for spec in layer.asks.specs
        if name_of(spec) in mentioned
    ]
    if more := asked[_ASKED:]:
        asked[_ASKED:] = [f"  and {len(more)} more"]
    names = ", ".join(layer.name for layer in culprits)
    head = (
        "these have no solution together"
        if len(culprits) > 1
        else "these requirements have no solution"
    )
    lines = (f"{head}: {names}", *asked, *_derivation(words)[:_LINES])
    ways = (
        []
        if len(culprits) == 1 and _NO_WHEEL.search(words)
        else [_ways_out(alone, culprits, family.found)]
    )
    if _NO_WHEEL.search(words):
        ways.insert(0, "ask for a version that has a wheel for this Python and platform")
        ways.insert(
            1,
            "keep its source in the repository and require that folder: a stage of its own builds"
            " the wheel",
        )
    return ResolutionError("\n".join(lines), "; or ".join(ways))


def _derivation(words: str) -> list[str]:
    """uv's reason, and its hint, in lines of a readable length."""
    reason = re.split(r"╰─▶|^\s*cause:", words, maxsplit=1, flags=re.MULTILINE)[-1]
    return [
        line
        for part in reason.split("\nhint:")
        for line in textwrap.wrap(" ".join(part.split()), 110)
    ]


def _culprits(family: Family, resolve: Resolve) -> tuple[bool, tuple[Layer, ...]]:
    """The fewest layers that conflict, found by leaving out one after the other; whether it is one
    by itself.
    """
    if len(family.layers) > _TRIALS:
        return False, family.layers

    def fails(layers: Sequence[Layer]) -> bool:
        try:
            resolve(layers, {}, "trial")
        except Exception:  # whichever way: what is looked for are the layers, the reason is known
            return True
        return False

    for layer in family.layers:
        if fails(layer.closure):
            needed = layer.closure
            return len(needed) == 1, _fewest(needed, fails)
    return False, _fewest(family.layers, fails)


def _fewest(layers: Sequence[Layer], fails: Callable[[Sequence[Layer]], bool]) -> tuple[Layer, ...]:
    kept = list(layers)
    for layer in layers:
        rest = [each for each in kept if each is not layer]
        if rest and fails(rest):
            kept = rest
    return tuple(kept)


def _ways_out(alone: bool, culprits: Sequence[Layer], found: bool) -> str:
    if alone or len(culprits) == 1:
        return f"relax one of the requirements of {culprits[0].name}"
    bases = [layer.name for layer in culprits if layer.kind in ("base", "export")]
    ways = ["relax one of these requirements"]
    if found:
        ways.append(
            f"write `bases` by hand, without one for {culprits[-1].name}: each base is a family of"
            " its own"
        )
        ways.append("say `layers: none`, and nothing is shared")
        return "; or ".join(ways)
    if bases:
        ways.append(
            f"move the package out of {' and '.join(bases)} into the services that need it: their"
            " delta"
        )
    services = [layer for layer in culprits if layer.name not in bases]
    if services:
        ways.append(
            f"split the base: give {services[-1].name} a base of its own, which is a family of"
            " its own"
        )
    return "; or ".join(ways)
