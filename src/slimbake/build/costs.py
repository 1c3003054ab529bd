"""What targets cost in seconds: as a build said, as it was measured here, else as others of its kind.

Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from slimbake.build.events import EXPORTED, EXPORTS, BuildStep, Vertex
from slimbake.plan.model import CHECKS, Plan, Target


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


@dataclass(frozen=True, slots=True)
class RanStep:
    """A step that a build did not find in its cache, or a part of one: seconds from the build's
    first such step on.
    """

    target: str
    title: str
    part: str  # fetch, install, compile, compress, unpack, write, checks, export, other
    begins: float
    ends: float
    critical: bool = False  # the build could not have ended sooner while this took as long


_PARTS = {
    **dict.fromkeys(("fetch-wheels", "fetch-debs"), "fetch"),
    **dict.fromkeys(("install", "install-local", "carry-debs", "install-debs"), "install"),
    **dict.fromkeys(("copy-code", "build-wheel"), "compile"),
    **dict(zip(EXPORTED, ("compress", "unpack"), strict=True)),
    **dict.fromkeys((EXPORTS.strip(), "manifests"), "write"),
}
_SLACK = 0.05  # seconds between the end of a step and the begin of what waits for it


def ran_steps(plan: Plan, vertices: Iterable[Vertex]) -> tuple[RanStep, ...]:
    """The steps of a build that ran, by their begin, and which of them are its critical path.

    That is found from its end on: before each step, the one that ended last of those that its
    target stands on.
    """
    every = tuple(vertices)
    # BuildKit also tells of a step that another build was at before this one asked for it.
    begun = min((v.started for v in every if v.started and not v.step.target), default=0.0)
    ran = [
        v
        for v in every
        if v.step.target and v.state in ("done", "failed") and v.seconds and v.started >= begun
    ]
    first = min((vertex.started for vertex in ran), default=0.0)
    found = sorted(
        (each for vertex in ran for each in _parts_of(plan, vertex, first)),
        key=lambda each: (each.begins, each.ends),
    )
    path: set[RanStep] = set()
    last = max(found, key=lambda each: each.ends, default=None)
    while last:
        path.add(last)
        last = _waited_for(last, found, {t.name for t in plan.needed((last.target,))})
    return tuple(replace(each, critical=each in path) for each in found)


def _waited_for(step: RanStep, every: Iterable[RanStep], below: Set[str]) -> RanStep | None:
    before = (
        each
        for each in every
        if each.target in below and each.begins < step.begins and each.ends <= step.begins + _SLACK
    )
    return max(before, key=lambda each: each.ends, default=None)


def _parts_of(plan: Plan, vertex: Vertex, first: float) -> Iterator[RanStep]:
    """A step; what puts an image out in the parts of which the builder gave the times."""
    step = vertex.step
    whole = {step.title: (vertex.started, vertex.started + vertex.seconds)}
    for title, (begins, ends) in (vertex.parts or whole).items():
        times = round(begins - first, 3), round(ends - first, 3)
        yield RanStep(step.target, title, _part(plan, step, title), *times)


def _part(plan: Plan, step: BuildStep, title: str) -> str:
    target = plan.target(step.target)
    if step.instruction and target.kind in (*CHECKS, "control", "trace", "reference"):
        return "checks"
    if step.instruction and target.recipe and target.recipe.export:
        return "export"
    found = (part for begins, part in _PARTS.items() if f"{title} ".startswith(f"{begins} "))
    return next(found, "other")


def targets_ran(steps: Iterable[RanStep]) -> dict[str, tuple[float, float]]:
    """When the first step of each target began, and its last was done."""
    found: dict[str, tuple[float, float]] = {}
    for each in steps:
        begins, ends = found.get(each.target, (each.begins, each.ends))
        found[each.target] = min(begins, each.begins), max(ends, each.ends)
    return found


UNKNOWN = 1.0  # of all, where nothing was measured: then they are dealt out by their number


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
