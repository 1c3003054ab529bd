"""How long each target took, from what a build said of its steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from slimbake.build.events import Vertex


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
