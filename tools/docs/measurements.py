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
    heads = (
        "seconds, medians",
        *sides,
        *(f"{name} / slimbake" for name in sides if name != "slimbake"),
    )
    rows = []
    for label, key in (("cold bake", "cold"), ("no-op bake", "noop")):
        rows.append(
            _line(label, {name: side.get(key, {}).get("median") for name, side in sides.items()})
        )
    services = ", ".join(bake.get("services", ())) or "the fleet"
    yield (
        f"Beside hand-written Dockerfiles (`bench/README.md` says what is compared), of {services}. "
        + _machine(bake, "that run")
    )
    yield table(heads, rows)


def _line(label: str, medians: Mapping[str, float | None]) -> tuple[str, ...]:
    ratios = (
        ratio(value, medians.get("slimbake"))
        for name, value in medians.items()
        if name != "slimbake"
    )
    return (label, *map(seconds, medians.values()), *ratios)
