"""What each image weighs and what it lost, in one line: beside the same image without optimisation,
and beside a hand-written one. Pure.
"""

from __future__ import annotations

from slimbake.console.tables import UNMEASURED

from .cells import NONE, less, mb, table
from .inputs import Inputs, by_hand, weights

SIZES, CENSUS, BAKE = "`slimbake sizes --record`", "`bench/census.py`", "`bench/bake.py`"
_HEADS = (
    "image",
    "by hand, MB",
    "not optimised, MB",
    "slimbake, MB",
    "less than not optimised",
    "modules found",
    "files lost",
    "calls that differ",
)
_PARTS = ("image", "model, MB", "compressed, MB", "files", "on disk", "cold", "by a rule")


def figures(inputs: Inputs) -> str:
    """Two tables with a row for each image."""
    return "\n\n".join(
        (
            "Uncompressed, with models. *By hand*: the same code and packages in a careful Dockerfile"
            f" ({BAKE}). *Not optimised*: the same image with `optimize: false`. Modules, files and"
            f" calls: {CENSUS} compares these two images. Modules are all that can be imported;"
            " files are all that the wheels brought; calls are chosen from documentation"
            " (`bench/counting/calls`).",
            table(_HEADS, (_row(name, inputs) for name in inputs.services)),
            f"Compressed, with models ({SIZES}); and what became of the files"
            f" ({CENSUS}): on disk as they were, in the cold store, or changed or removed by"
            " [a rule](../promise.md).",
            table(_PARTS, (_parts(name, inputs) for name in inputs.services)),
        )
    )


def _row(name: str, inputs: Inputs) -> tuple[str, ...]:
    census = inputs.census.get(name, {})
    ours = inputs.images.get(name, {}).get("uncompressed")
    hand = by_hand(inputs).get("images", {})
    return (
        name,
        mb(hand.get(name, {}).get("uncompressed")) if name in inputs.defaults else NONE,
        mb(census.get("bare")),
        mb(ours),
        less(ours, census.get("bare")),
        *losses(name, inputs),
    )


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


def _parts(name: str, inputs: Inputs) -> tuple[str, ...]:
    image, files = inputs.images.get(name, {}), inputs.census.get(name, {}).get("files")
    counts: tuple[str, ...] = (UNMEASURED,) * 4
    if files:
        ruled = sum(files.get(fate, 0) for fate in ("changed", "removed", "requested"))
        known = (sum(files.values()), files.get("disk", 0), files.get("cold", 0), ruled)
        counts = tuple(f"{count:,}" for count in known)
    model = weights(inputs, name) if image else None
    return (name, mb(model), mb(image.get("compressed")), *counts)
