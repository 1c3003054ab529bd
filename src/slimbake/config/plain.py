"""Parts of a manifest that name no files: from checked plain values to the manifest's own. Pure."""

from __future__ import annotations

from typing import Any

from slimbake.config.model import Ci, Optimize, Pairs, Precision
from slimbake.config.words import TRUTH

Raw = dict[str, Any]


def optimize(raw: Raw) -> Optimize:
    said = raw.get("optimize", "proven")
    if isinstance(said, str):
        return Optimize(none=said == "none")
    return Optimize(without=tuple(said.get("without", ())), explain=_truth(said.get("explain")))


def precision(said: Raw | str, calibration: str | None) -> Precision:
    """A type alone, or with settings. `calibration`: the path of the file that they name, relative
    to the root.
    """
    if isinstance(said, str):
        said = {"type": said}
    return Precision(
        type=said.get("type", "fp32"),
        per_channel=_truth(said.get("per-channel")),
        reduce_range=_truth(said.get("reduce-range")),
        exclude=tuple(said.get("exclude", ())),
        mode=said.get("mode"),
        calibration=calibration,
    )


def ci(raw: Raw) -> Ci:
    return Ci(provider=raw.get("provider"), runners=pairs(raw, "runners"), cache=raw.get("cache"))


def pairs(raw: Raw, key: str) -> Pairs:
    return tuple(raw.get(key, {}).items())


def _truth(said: Any) -> bool | None:
    return None if said is None else said == TRUTH[0]
