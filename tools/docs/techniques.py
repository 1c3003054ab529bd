"""The write-up's techniques as they were measured once: a record. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .cells import small, table
from .inputs import Inputs

_HEADS = ("technique", "verdict", "saves, or would", "why, or where")
_STAYS = "every module that can be imported stays"


def page(inputs: Inputs) -> str:
    """The whole page: a row for each technique that was tried; by name what the promise rules out."""
    known = inputs.techniques
    modules = [
        technique["technique"].removeprefix("remove ")
        for technique in known["techniques"]
        if technique.get("words") == _STAYS
    ]
    settings = [
        technique["technique"]
        for technique in known["techniques"]
        if technique["verdict"] == "a setting"
    ]
    return "\n\n".join(
        (
            "# The write-up's techniques",
            f"A record, measured in {known['when']} at commit `{known['commit']}`: slimbake tried each"
            " clean-up as a *pass*, with every check of every service, on all layers of the example."
            " Bytes are those of the layers together (`bench/results/techniques.json`); the losses of"
            " today's images are in the [results](../docs/results.md), today's rules in [the"
            " promise](../docs/promise.md). A pass is *proven* if every check passed, *refuted* if not.",
            table(_HEADS, _rows(inputs)),
            f"Not tried, because every module that can be imported stays: {', '.join(modules)}.",
            f"Settings of slimbake today: {', '.join(settings)}.",
        )
    )


def _rows(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    for technique in inputs.techniques["techniques"]:
        if technique["verdict"] != "a setting" and technique.get("words") != _STAYS:
            saved = small(technique["bytes"]) if "bytes" in technique else ""
            yield (technique["technique"], technique["verdict"], saved, technique.get("words", ""))
