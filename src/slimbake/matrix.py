"""The jobs of a CI matrix: pure, and small enough for one line of a job's output."""

from __future__ import annotations

from typing import TypedDict

from slimbake.errors import UsageError
from slimbake.plan.model import Plan, Target

MOST_JOBS = 256  # GitHub's limit for one matrix


class Job(TypedDict):
    """One job: bake `check`, which builds the service and checks it, then push `service`."""

    service: str
    check: str  # the smoke's target; the service itself where it has no smoke
    base: str  # the target whose image is the context `base` of the service
    repository: str  # the one that this base is pushed to
    platforms: str  # separated by commas


class Include(TypedDict):
    include: list[Job]


class Matrix(TypedDict):
    """`bases`: targets to build once, before the services. `services`: a `strategy.matrix`; its list may be empty."""

    bases: list[str]
    services: Include


def matrix(plan: Plan, selected: tuple[str, ...]) -> Matrix:
    """Spread the services over jobs, each with the bases that all of them need.

    Raises UsageError where they are more than one matrix may hold.
    """
    if len(selected) > MOST_JOBS:
        raise UsageError(
            f"{len(selected)} services, and one matrix holds {MOST_JOBS} jobs at most",
            "name the services that you want: slimbake matrix SERVICE...",
        )
    jobs = [_job(plan, plan.target(name)) for name in selected]
    checks = tuple(job["check"] for job in jobs)
    bases = [target.name for target in plan.needed(checks) if target.kind in ("runtime", "base")]
    return {"bases": bases, "services": {"include": jobs}}


def _job(plan: Plan, service: Target) -> Job:
    smoke = next((t.name for t in plan.targets if t.kind == "smoke" and t.service == service.name), service.name)
    base = plan.target(dict(service.contexts)["base"].removeprefix("target:"))
    return {
        "service": service.name,
        "check": smoke,
        "base": base.name,
        "repository": base.repository,
        "platforms": ",".join(service.platforms or plan.platforms),
    }
