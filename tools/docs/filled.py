"""Generated parts of pages that people write: blocks between two comments. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slimbake.catalogue import rules
from slimbake.console.tables import UNMEASURED

from . import starts
from .cells import less, mb, table
from .images import LOSSES, losses
from .inputs import BY_HAND, OURS, Inputs, by_hand, sharing

PAGES = ("README.md", "docs/promise.md")
_BLOCK = re.compile(r"(<!-- figures: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SHOWN = ("embedding", "nlg", "api")  # of the README's table


def filled(text: str, inputs: Inputs) -> str:
    """A page with what is known today in its blocks. Raises KeyError for a block of another name."""
    known = {
        "sizes": _sizes,
        "starts": _starts,
        "together": _together,
        "rules": _rules,
    }
    return _BLOCK.sub(lambda found: f"{found[1]}{known[found[2]](inputs)}\n{found[3]}", text)


def _sizes(inputs: Inputs) -> str:
    """An image a row: what it weighs, and what it lost."""
    if not inputs.images:
        return f"Sizes and losses: {UNMEASURED} (`slimbake sizes --record`, `bench/census.py`)."
    heads = ("image, with its model", "by hand", "slimbake", *LOSSES)
    return table(heads, _rows(inputs))


def _rows(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    hand = by_hand(inputs).get("images", {})
    for name in _SHOWN:
        made = hand.get(name, {}).get("uncompressed")
        ours = inputs.images.get(name, {}).get("uncompressed")
        smaller = f", {less(ours, made)} less" if ours and made else ""
        yield (f"`{name}`", _unit(made), f"{_unit(ours)}{smaller}", *losses(name, inputs))


def _unit(value: float | None) -> str:
    return UNMEASURED if value is None else f"{mb(value)} MB"


def _starts(inputs: Inputs) -> str:
    """A way to build an image a row: what the image weighs, and the processor time of its start."""
    services = inputs.starts.get("services", {})
    shown = [name for name in _SHOWN if name in services]
    if not shown:
        return f"Starts: {UNMEASURED} (`bench/starts.py`)."
    rows = []
    for side in services[shown[0]]:
        if side == starts.COMPILED:  # what nobody builds
            continue
        cells = [f"`{side}`"]
        for name in shown:
            of = services[name][side]
            cells.append(f"{_unit(of['bytes'])}, {starts.processor_seconds(of):.2f} s")
        rows.append(cells)
    return table(("image and processor time until its port", *shown), rows)


def _together(inputs: Inputs) -> str:
    """Eight images together, as all sides share layers, and what bench/bake.py timed."""
    sides = inputs.bake.get("sides", {})
    if not sides:
        return f"Eight images together, and build times: {UNMEASURED} (`bench/bake.py`)."
    ours, hand, parallel = (sides[name] for name in (OURS, BY_HAND, "parallel"))
    shared = sharing(inputs, inputs.defaults)["host"].get("shared")
    host = [_unit(shared), _unit(by_hand(inputs).get("unique_on_host"))]
    cold = [side.get("cold", {}).get("median") for side in (ours, hand, parallel)]
    times = [UNMEASURED if each is None else f"{each:.0f} s" for each in cold]
    return "\n".join(
        (
            f"All eight images take {host[0]} on a host, by hand {host[1]}: both share layers. A cold",
            f"build takes {times[0]}, by hand {times[1]} one after the other, and {times[2]} with plain"
            " bake.",
        )
    )


def _rules(_: Inputs) -> str:
    rows = [
        (f"`{each.name}`", each.about, ", ".join(each.conditions) or "-", each.why)
        for each in rules()
    ]
    return table(("rule", "what it does", "only if", "why"), rows)
