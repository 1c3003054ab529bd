"""Build times. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import difference, ratio, seconds, table
from .inputs import Inputs

COLD_AT_MOST = 5.0  # seconds that optimisation may add to a cold bake of the eight


def _machine(found: Mapping[str, Any], where: str) -> str:
    return (
        f"Measured on: {found['machine']}."
        if found.get("machine")
        else f"The machine is not recorded by {where}."
    )


def builds(inputs: Inputs) -> str:
    """How long bakes take: beside hand-written Dockerfiles, and beside one without optimisation."""
    return "\n\n".join((*_bakes(inputs.bake), *_clean_up(inputs.prune)))


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


def _median(runs: Sequence[float] | None) -> float | None:
    ordered = sorted(runs or ())
    middle = len(ordered) // 2
    return None if not ordered else (ordered[middle] + ordered[~middle]) / 2


def _clean_up(prune: Mapping[str, Any]) -> Iterator[str]:
    sides = prune.get("sides", {})
    if not sides:
        yield f"Optimisation in a cold bake: {UNMEASURED}: run `bench/prune.py --engine-is-mine`."
        return
    before, after = (sides.get(name, {}) for name in ("without", "with"))
    more = difference(after.get("median"), before.get("median"))
    verdict = UNMEASURED if more is None else "true" if more <= COLD_AT_MOST else "not reached"
    yield (
        f"Optimisation adds at most {COLD_AT_MOST:g} s to a cold bake of"
        f" {len(prune.get('services', ())) or 'all'} services: **{verdict}**. Sides take turns."
        f" {_machine(prune, 'that run')}"
    )
    runs = [len(side.get("runs", ())) for side in sides.values()]
    yield table(
        ("seconds, medians", "not optimised", "optimised", "more", "ratio", "runs of each"),
        [
            (
                "cold bake",
                seconds(before.get("median")),
                seconds(after.get("median")),
                seconds(more),
                ratio(after.get("median"), before.get("median")),
                str(min(runs)),
            )
        ],
    )
