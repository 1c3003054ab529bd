"""The write-up's techniques as they were measured once: a record. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .cells import small, table
from .inputs import Inputs

_HEADS = ("technique", "pass", "verdict", "saves, or would", "zstd", "why, or where")


def record(inputs: Inputs) -> str:
    """Every technique, row by row, and what was tested beside it."""
    known = inputs.techniques
    return "\n\n".join(
        (
            "slimbake began with a write-up: clean-ups of three images by hand, with claims of what"
            " they save. In 2026 slimbake tried each technique as a *pass*, with every check of every"
            " service on a layer, on all layers of the example. Bytes are those of the layers"
            " together.",
            f"This page is a record: measured in {known['when']}, at commit `{known['commit']}`. The"
            " numbers are in `bench/results/techniques.json`; what measured them lies in the history."
            " What slimbake does today: [the promise](../promise.md).",
            table(_HEADS, _rows(inputs, beside=False)),
            "Tested beside the write-up's:",
            table(_HEADS, _rows(inputs, beside=True)),
        )
    )


def _rows(inputs: Inputs, *, beside: bool) -> Iterator[tuple[str, ...]]:
    for each in inputs.techniques["techniques"]:
        if each.get("beside", False) == beside:
            yield (
                each["technique"],
                each.get("pass", "-"),
                each["verdict"],
                small(each["bytes"]) if "bytes" in each else "",
                small(each["zstd"]) if "zstd" in each else "",
                each.get("words", ""),
            )
