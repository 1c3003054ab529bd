"""What fleets of services share, by the bound of a heavy wheel and by the order of layers. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from slimbake.console.tables import UNMEASURED

from .cells import NONE, mb, ratio, table
from .inputs import Inputs, Json

_FLEETS = {"torch": "3 with torch", "unlike": "20 unlike"}
_BOUNDS_OF = "300"  # the fleet of which every bound is shown
_OURS = "slimbake"
_HEADS = (
    "services",
    "from, kB",
    "host / union",
    "registry / union",
    "MB pulled",
    "layers",
)


def figures(inputs: Inputs) -> str:
    """A table of all fleets with slimbake's bound and order, and of one with other bounds."""
    fleets = inputs.sharing.get("fleets", {})
    if not fleets:
        return f"What services share: {UNMEASURED}: run `bench/sharing.py`."
    rows = []
    for name, found in fleets.items():
        rows += list(_rows(name, found))
    return "\n\n".join(
        (
            "One layer for each wheel from a bound on, one for the rest of a lock: bytes beside those"
            " of all distinct wheels (the union), and what a host with the whole fleet pulls for a new"
            " version of one package, on average (`bench/sharing.py`). *Before*: the planner that"
            " slimbake had.",
            table(_HEADS, rows),
        )
    )


def _rows(name: str, found: Json) -> Iterator[tuple[str, ...]]:
    fleet = _FLEETS.get(name, name)
    union = found["union"]
    if before := found["before"]:
        of_union = (ratio(before["host"], 1), ratio(before["registry"], 1))
        yield (fleet, "before", *of_union, mb(before["pulled"]), NONE)
    for each in found["shared"]:
        if each["order"] == _OURS and (each["bound"] == found["bound"] or name == _BOUNDS_OF):
            yield (
                fleet,
                f"{each['bound'] / 1000:,.0f}",
                ratio(each["host"], union["host"]),
                ratio(each["registry"], union["registry"]),
                mb(each["pulled_mean"]),
                str(each["layers"]),
            )
