"""The figures of some rounds: medians, ratios within a round, replicas in a node. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .load import Load
from .memory import Memory

NODE = 16 * 2**30  # bytes of the node that replicas are counted for


@dataclass(frozen=True, slots=True)
class Round:
    """One container from its start to its end."""

    start: float  # seconds until its first answer
    first: Memory | None  # after that
    loaded: Memory | None  # after all load
    loads: Mapping[str, Mapping[int, Load]]  # by workload and clients


def figure(values: Sequence[float | None], reference: Sequence[float | None]) -> dict[str, Any]:
    """Median and runs, and the median of the ratios to what the first side had in the same round.

    Null where one of the runs, or of those of the first side, is unmeasured.
    """
    ratios = [
        value / to if value is not None and to else None
        for value, to in zip(values, reference, strict=True)
    ]
    return {"median": _median(values), "runs": list(values), "ratio": _median(ratios)}


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None


def replicas(rss: float | None) -> int | None:
    """How many fit into a node, which has nothing else to hold: a replica more shares no page in
    this count.
    """
    return None if not rss else int(NODE // rss)


def summed(sides: Mapping[str, Sequence[Round]], images: Mapping[str, str]) -> dict[str, Any]:
    """Everything about one service, for JSON; the first side is what the others are compared with."""
    reference = next(iter(sides.values()))
    return {
        name: {"image": images[name], **_side(rounds, reference)} for name, rounds in sides.items()
    }


def _side(rounds: Sequence[Round], reference: Sequence[Round]) -> dict[str, Any]:
    loaded = _memory([each.loaded for each in rounds], [each.loaded for each in reference])
    return {
        "start": figure([each.start for each in rounds], [each.start for each in reference]),
        "first": _memory([each.first for each in rounds], [each.first for each in reference]),
        "loaded": loaded,
        "replicas": replicas(loaded["rss"]["median"]),
        "workloads": {
            name: {
                str(clients): _load(name, clients, rounds, reference)
                for clients in rounds[0].loads[name]
            }
            for name in rounds[0].loads
        },
    }


def _memory(found: Sequence[Memory | None], reference: Sequence[Memory | None]) -> dict[str, Any]:
    def values(of: Sequence[Memory | None], key: str) -> list[float | None]:
        return [None if each is None else getattr(each, key) for each in of]

    return {
        key: figure(values(found, key), values(reference, key))
        for key in ("rss", "anonymous", "peak", "cgroup")
    }


def _load(
    name: str, clients: int, rounds: Sequence[Round], reference: Sequence[Round]
) -> dict[str, Any]:
    def values(of: Sequence[Round], key: str) -> list[float | None]:
        return [getattr(each.loads[name][clients], key) for each in of]

    keys = ("requests", "p50", "p99", "throughput")
    return {key: figure(values(rounds, key), values(reference, key)) for key in keys}
