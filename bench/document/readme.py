"""The figures in README.md: blocks between two comments, each made of what was measured. Pure."""

from __future__ import annotations

import re

from .cells import less, mb
from .inputs import Inputs
from .pictures import baked, by_hand, shared
from .recording import frames

ENDING = 3  # lines of a bake: together, each alone, what was built
_BLOCK = re.compile(r"(<!-- figures: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, inputs: Inputs) -> str:
    """A page with the figures of today in its blocks. Raises KeyError for a block with no figures."""
    known = {"sizes": _sizes, "trust": _trust, "ending": _ending}
    return _BLOCK.sub(lambda found: f"{found[1]}{known[found[2]](inputs)}\n{found[3]}", text)


def _sizes(inputs: Inputs) -> str:
    sides = inputs.bake.get("sides", {})
    fleet = shared(inputs)["host"].get("shared")
    alone = sides.get("one by one", {}).get("sizes", {}).get("unique_on_host")
    cold = sorted(side.get("cold", {}).get("median") or 0 for side in sides.values()) or [0]
    image, onnx = baked(inputs, "embedding"), baked(inputs, "embedding-onnx")
    made = by_hand(inputs, "embedding")
    return "\n".join(
        (
            f"`embedding` (torch, transformers) is {less(image, made)} smaller than a careful"
            " hand-written image of",
            f"the same packages; with ONNX Runtime in place of torch, {less(onnx, made)}. All eight"
            " images of the",
            f"example take {mb(fleet)} MB on a host instead of {mb(alone)} MB. A cold build takes"
            f" {cold[0]:.0f} s instead of",
            f"{cold[1 % len(cold)]:.0f} s (plain bake) or {cold[-1]:.0f} s (one `docker build` after the other).",
        )
    )


def _ending(inputs: Inputs) -> str:
    """The last lines of the recorded bake."""
    lines = frames(inputs.cast)[-1][1] if inputs.cast else ()
    return "\n".join(f"    {line}" for line in lines[-ENDING:])


def _trust(inputs: Inputs) -> str:
    levels = inputs.levels.get("lossless", {})
    modules, found = (sum(of[key] for of in levels.values()) for key in ("modules", "found"))
    files = sum(sum(of["files"].values()) for of in levels.values())
    lost, tried = (sum(of[key] for of in levels.values()) for key in ("lost", "tried"))
    same = tried - sum(len(of["differ"]) for of in levels.values())
    controls = inputs.controls
    caught = sum(each["level"] != "" for each in controls)
    return "\n".join(
        (
            "- **Guarantees.** By default slimbake deletes only what an image cannot use, such as debug"
            " symbols",
            "  and C headers. Python code that no start reads moves to a store and stays importable.",
            f"- **Census.** {found:,} of {modules:,} modules of {len(levels)} images are importable as"
            f" before; {lost} of {files:,} files",
            f"  are lost; {same:,} of {tried:,} documented calls have the same outcome.",
            f"- **Negative controls.** slimbake broke the example's images in {len(controls)} ways on"
            f" purpose; its checks",
            f"  noticed {caught}.",
            "- **Tags move last.** An image gets its tag only after its start check, smoke and budget"
            " pass.",
        )
    )
