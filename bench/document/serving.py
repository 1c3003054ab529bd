"""Running containers: memory, start-up, pod density, throughput. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import mb, ratio, table
from .inputs import Inputs

COMMAND = "`bench/serving.py`"


def figures(inputs: Inputs) -> str:
    """Each service's sides beside each other, the first of them what the others are compared with."""
    found = inputs.serving
    services = found.get("services", {})
    if not services:
        return (
            f"Memory, start-up, pod density and throughput of running containers: {UNMEASURED}: run"
            f" {COMMAND}."
        )
    node = found["node"] / 2**30
    return "\n\n".join(
        (
            (
                "Running final containers, sides taking turns in one run"
                f" (`bench/README.md` says how): {found['rounds']} rounds, medians; a ratio is the"
                " median of those within a round, to the first side. A side is a variant of"
                f" `services.yaml`, or an image that was named beside them. Load: {found['tool']},"
                f" from the same machine. Measured on: {found['machine']}."
            ),
            table(_CONTAINER, _containers(services)),
            (
                "RSS is VmRSS of all processes of the container. Replicas: how many of that RSS"
                f" after load fit into {node:g} GiB with nothing else in it, no page of theirs"
                " counted as shared."
            ),
            table(_LOAD, _loads(services)),
        )
    )


_CONTAINER = (
    "service",
    "side",
    "start to first answer s",
    "ratio",
    "RSS MB after it",
    "ratio",
    "RSS MB after load",
    "ratio",
    "anonymous MB",
    "with page cache MB",
    "replicas",
    "ratio",
)
_LOAD = (
    "service",
    "request",
    "clients",
    "side",
    "median ms",
    "ratio",
    "99 % ms",
    "ratio",
    "answers/s",
    "ratio",
)


def _containers(services: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for service, of in services.items():
        most = next(iter(of["sides"].values()))["replicas"]
        for name, side in of["sides"].items():
            first, loaded = side["first"], side["loaded"]
            yield (
                service,
                name,
                *_cells(side["start"], 1),
                mb(first["rss"]["median"]),
                _times(first["rss"]),
                mb(loaded["rss"]["median"]),
                _times(loaded["rss"]),
                mb(loaded["anonymous"]["median"]),
                mb(loaded["cgroup"]["median"]),
                UNMEASURED if side["replicas"] is None else str(side["replicas"]),
                ratio(side["replicas"], most),
            )


def _loads(services: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for service, of in services.items():
        first = next(iter(of["sides"].values()))
        for request, clients in (
            (name, each) for name, by in first["workloads"].items() for each in by
        ):
            for name, side in of["sides"].items():
                load = side["workloads"][request][clients]
                cells = (
                    *_cells(load["p50"], 1e3),
                    *_cells(load["p99"], 1e3),
                    *_cells(load["throughput"], 1),
                )
                yield (service, request, clients, name, *cells)


def _cells(figure: Mapping[str, Any], scale: float) -> tuple[str, str]:
    value = figure["median"]
    return UNMEASURED if value is None else f"{value * scale:,.2f}", _times(figure)


def _times(figure: Mapping[str, Any]) -> str:
    return ratio(figure["ratio"], 1)
