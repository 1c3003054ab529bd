"""The jobs of a pipeline in waves, from the plan's graph: what is shared is built once, and before
what stands on it.

Wave 1 is one job for each lane, not one for each base: a base that extends another waits for it
anyway, those that do not are built side by side by BuildKit, and no base has to be pulled to build
the next. All exports and references are made on one base, which the job has and which is not
pushed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slimbake.ci.balance import balance
from slimbake.ci.jobs import BasesJob, Matrix, ServicesJob
from slimbake.plan.model import Lane, Plan

MOST_JOBS = 256  # of one matrix: GitHub's limit


def matrix(
    plan: Plan,
    selected: tuple[str, ...],
    unchanged: tuple[str, ...] = (),
    costs: Mapping[str, float] = {},
) -> Matrix:
    """The jobs that build these services.

    `unchanged`: those of them that need no job. `costs`: how long a service took when it was last
    built, in any unit; beyond 256 jobs, services are put together in jobs that take about as long
    as one another.
    """
    wanted = tuple(name for name in selected if name not in unchanged)
    lanes = {
        lane: tuple(name for name in wanted if _platforms(plan, name, lane))
        for lane in plan.pipeline.lanes
    }
    lanes = {lane: names for lane, names in lanes.items() if names}
    shared = max(1, MOST_JOBS // max(1, len(lanes)))
    return {
        "bases": {"include": [_bases(plan, lane, names) for lane, names in lanes.items()]},
        "services": {
            "include": [
                job
                for lane, names in lanes.items()
                for job in _services(plan, lane, names, costs, shared)
            ]
        },
        "merges": [_merge(plan, name, lanes) for name in wanted]
        if len(plan.pipeline.lanes) > 1
        else [],
        "unchanged": " ".join(name for name in selected if name in unchanged),
    }


def _bases(plan: Plan, lane: Lane, services: tuple[str, ...]) -> BasesJob:
    return {
        "lane": lane.name,
        "runner": lane.runner,
        "platform": _platform(plan, lane),
        "targets": " ".join(target.name for target in plan.shared_by(services)),
        "services": " ".join(services),
    }


def _services(
    plan: Plan, lane: Lane, names: tuple[str, ...], costs: Mapping[str, float], most: int
) -> Iterator[ServicesJob]:
    for number, group in enumerate(balance(names, costs, most)):
        first, *others = group
        yield {
            "id": f"{lane.name}-{number}",
            "name": f"{first} and {len(others)} more" if others else first,
            "services": " ".join(group),
            "lane": lane.name,
            "runner": lane.runner,
            "platform": _platform(plan, lane),
        }


def _merge(plan: Plan, name: str, lanes: Mapping[Lane, tuple[str, ...]]) -> str:
    target = plan.target(name)
    those = ",".join(lane.name for lane, names in lanes.items() if name in names)
    return f"{target.repository}/{those}/{target.suffix}"


def _platform(plan: Plan, lane: Lane) -> str:
    return ",".join(lane.platforms) if len(plan.pipeline.lanes) > 1 else ""


def _platforms(plan: Plan, service: str, lane: Lane) -> set[str]:
    """What of a service is built in a lane."""
    return set(plan.target(service).platforms or plan.platforms) & set(lane.platforms)
