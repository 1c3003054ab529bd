"""What targets cost in seconds: as a build said, as it was measured here, else as others of its kind.

Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from slimbake.plan.model import CHECKS, Plan, Target
from slimbake.release.events import Vertex


def measured_costs(vertices: Iterable[Vertex]) -> dict[str, float]:
    """Seconds of each target that one build built from its first step on; what came from a cache
    tells nothing.
    """
    seconds: dict[str, float] = {}
    cached = set()
    for vertex in vertices:
        name = vertex.step.target
        if vertex.state == "cached" and vertex.step.instruction:
            cached.add(name)
        elif name and vertex.state == "done":
            seconds[name] = seconds.get(name, 0.0) + vertex.seconds
    return {name: round(value, 3) for name, value in sorted(seconds.items()) if name not in cached}


UNKNOWN = 1.0  # of all, where nothing was measured


def estimated(plan: Plan, known: Mapping[str, float]) -> dict[str, float]:
    """Seconds of every target of a plan.

    One that was not measured costs the median of its kind on the same base; else of its kind, of
    all, or UNKNOWN.
    """
    alike: dict[tuple[str, ...], list[float]] = {}
    for target in plan.targets:
        if target.name in known:
            for key in _alike(plan, target):
                alike.setdefault(key, []).append(known[target.name])
    return {t.name: known.get(t.name, _median(alike, _alike(plan, t))) for t in plan.targets}


def _alike(plan: Plan, target: Target) -> tuple[tuple[str, ...], ...]:
    """What a target has in common with others, the most telling first."""
    of = plan.target(target.service) if target.service and target.kind in CHECKS else target
    below = dict(of.contexts).get("base", "")
    # other weights are but copied
    kind = "export" if target.recipe and target.recipe.export else target.kind
    return (kind, below), (kind,), ()


def _median(alike: Mapping[tuple[str, ...], list[float]], keys: Iterable[tuple[str, ...]]) -> float:
    return next((statistics.median(alike[key]) for key in keys if key in alike), UNKNOWN)
