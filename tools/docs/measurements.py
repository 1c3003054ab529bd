"""Build times. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import ratio, seconds, table
from .inputs import Inputs


def _machine(found: Mapping[str, Any], where: str) -> str:
    return (
        f"Measured on: {found['machine']}."
        if found.get("machine")
        else f"The machine is not recorded by {where}."
    )


def builds(inputs: Inputs) -> str:
    """How long bakes take, beside hand-written Dockerfiles."""
    return "\n\n".join(_bakes(inputs.bake))


def _bakes(bake: Mapping[str, Any]) -> Iterator[str]:
    sides = bake.get("sides", {})
    if not sides:
        yield (
            f"Beside hand-written Dockerfiles: {UNMEASURED}: run `bench/bake.py --engine-is-mine`."
        )
        return
    heads = ("seconds, medians", "cold bake", "of slimbake's", "no-op bake", "of slimbake's")
    rows = []
    for name, side in sides.items():
        cells = [name]
        for key in ("cold", "noop"):
            median, ours = (each.get(key, {}).get("median") for each in (side, sides["slimbake"]))
            cells += [seconds(median), ratio(median, ours)]
        rows.append(cells)
    services = ", ".join(bake.get("services", ())) or "the fleet"
    yield (
        f"Beside hand-written Dockerfiles (`bench/README.md` says what is compared), of {services}. "
        + _machine(bake, "that run")
    )
    yield table(heads, rows)
