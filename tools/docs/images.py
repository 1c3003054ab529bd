"""What each image weighs and what it lost, in one line: beside the same image without optimisation,
and beside a hand-written one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from slimbake.console.tables import UNMEASURED

from .cells import NONE, less, mb, table
from .inputs import Inputs, Json, by_hand

CENSUS, BAKE = "`bench/census.py`", "`bench/bake.py`"
LOSSES = ("modules found", "files lost", "calls that differ")
_HEADS = ("image", "by hand", "not optimised", "slimbake", "less", "compressed", "lost")


def figures(inputs: Inputs) -> str:
    """A row for each image whose losses are known."""
    counted = [name for name in inputs.services if name in inputs.census]
    others = [f"`{name}`" for name in inputs.services if name not in counted]
    return "\n\n".join(
        (
            "MB, uncompressed, with models (`slimbake sizes --record`). *By hand*: the same code and packages in a careful Dockerfile"
            f" ({BAKE}). *Not optimised*: the same image with `optimize: false`, with which {CENSUS}"
            " compares: all modules that can be imported, all files that the wheels brought, and"
            " calls chosen from documentation (`bench/counting/calls`). *Less*: than not optimised."
            " *Compressed*: as stored, with zstd. *Lost*: modules, files and calls.",
            table(_HEADS, (_row(name, inputs) for name in counted)),
            table(("image", *LOSSES), ((name, *losses(name, inputs)) for name in counted)),
            *(
                [f"Losses {UNMEASURED}, so no size is shown: {', '.join(others)}."]
                if others
                else []
            ),
        )
    )


def _row(name: str, inputs: Inputs) -> tuple[str, ...]:
    bare = inputs.census[name]["bare"]
    ours = inputs.images.get(name, {}).get("uncompressed")
    hand = by_hand(inputs).get("images", {})
    return (
        name,
        mb(hand.get(name, {}).get("uncompressed")) if name in inputs.defaults else NONE,
        mb(bare),
        mb(ours),
        less(ours, bare),
        mb(inputs.images.get(name, {}).get("compressed")),
        lost(name, inputs),
    )


def lost(name: str, inputs: Inputs) -> str:
    """Modules, files and calls that were lost, of all."""
    if name not in inputs.census:
        return UNMEASURED
    count, compared = losses_of([inputs.census[name]])
    return f"{count:,} of {compared:,}"


def losses_of(censuses: Iterable[Json]) -> tuple[int, int]:
    """How many modules, files and calls were lost, and how many were compared."""
    count = compared = 0
    for of in censuses:
        count += of["modules"] - of["found"] + len(of["lost"]) + len(of["differ"])
        compared += of["modules"] + sum(of["files"].values()) + of["calls"]
    return count, compared


def losses(name: str, inputs: Inputs) -> tuple[str, str, str]:
    """Modules found, files lost and calls that differ, each of all."""
    if name not in inputs.census:
        return UNMEASURED, UNMEASURED, UNMEASURED
    of = inputs.census[name]
    return (
        f"{of['found']:,} of {of['modules']:,}",
        f"{len(of['lost']):,} of {sum(of['files'].values()):,}",
        f"{len(of['differ']):,} of {of['calls']:,}",
    )
