"""The jobs of a pipeline in waves, from the plan's graph: what is shared is built once, and before
what stands on it.

Wave 1 is one job for each lane, not one for each base: a base that extends another waits for it
anyway, those that do not are built side by side by BuildKit, and no base has to be pulled to build
the next. All exports and references are made on one base, which the job has and which is not
pushed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from slimbake.plan.model import Lane, Plan

MOST_JOBS = 256  # of one matrix: GitHub's limit


def matrix(
    plan: Plan,
    selected: tuple[str, ...],
    unchanged: tuple[str, ...] = (),
) -> Matrix:
    """The jobs that build these services.

    `unchanged`: those of them that need no job. Beyond 256 jobs, each builds several services.
    """
    changed = tuple(name for name in selected if name not in unchanged)
    lanes = {
        lane: tuple(name for name in changed if plan.in_lane(name, lane))
        for lane in plan.pipeline.lanes
    }
    lanes = {lane: names for lane, names in lanes.items() if names}
    most = max(1, MOST_JOBS // max(1, len(lanes)))
    return {
        "shared": [_job(plan, lane, lane.name, lane.name, names) for lane, names in lanes.items()],
        "services": [
            job for lane, names in lanes.items() for job in _services(plan, lane, names, most)
        ],
        "unchanged": " ".join(name for name in selected if name in unchanged),
    }


def _services(plan: Plan, lane: Lane, names: tuple[str, ...], most: int) -> Iterator[Job]:
    units = _units(plan, names)
    for number in range(min(most, len(units))):
        group = tuple(itertools.chain(*units[number::most]))
        first, *others = group
        name = f"{first} and {len(others)} more" if others else first
        yield _job(plan, lane, f"{lane.name}-{number}", name, group)


def _job(plan: Plan, lane: Lane, number: str, name: str, services: tuple[str, ...]) -> Job:
    return {
        "id": number,
        "name": name,
        "services": " ".join(services),
        "lane": lane.name,
        "runner": lane.runner,
        "platform": ",".join(lane.platforms) if len(plan.pipeline.lanes) > 1 else "",
    }


def _units(plan: Plan, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The services that one job builds: each with those that its start check starts beside it, as
    no other job has pushed them by then.
    """
    place = {name: index for index, name in enumerate(names)}
    units = {name: (name,) for name in names}
    for service in plan.services:
        for other in plan.company(service):
            both = {*units.get(service.service, ()), *units.get(other.service, ())}
            if {service.service, other.service} <= both:
                units |= dict.fromkeys(both, tuple(sorted(both, key=place.__getitem__)))
    return [unit for name, unit in units.items() if unit[0] == name]


class Job(TypedDict):
    """One job of a wave, which `slimbake ci shared` or `slimbake ci job` takes as JSON.

    Wave 1 has one for each lane: it builds and pushes what its services share, or in a pull request
    builds them. Wave 2 builds, checks and pushes some services on what wave 1 pushed in their lane.
    """

    id: str  # names its record; no other job of its wave has it
    name: str  # for people
    services: str  # separated by spaces
    lane: str  # of its tags, and of its caches
    runner: str
    platform: str  # with several lanes, what is built for; "" = as planned


# `shared` and `services`, the jobs of the waves; and `unchanged`, services that need no job, separated
# by spaces: a registry has them, or nothing of them changed.
Matrix = dict[str, Any]

# The child pipeline of GitLab: the jobs that the generated .gitlab-ci.yml lays out, each as often
# as the plan has it.
#
# The result is JSON, which is YAML: no text in it can be anything but a text.


def child(parent: Mapping[str, Any], matrix: Matrix) -> str:
    """The child pipeline. `parent`: what .gitlab-ci.yml says. Its last job is always there: a
    pipeline needs one.
    """
    kept = {name: job for name, job in parent.items() if name.startswith(".") or name == "default"}
    pipeline: dict[str, Any] = {
        "stages": ["shared", "services", "tag", "summary"],
        "variables": parent["variables"],
        **kept,
    }
    for job in matrix["shared"]:
        pipeline[f"check ({job['lane']})"] = _laid_out(".check", job)
        if ".shared" in kept:
            pipeline[f"shared ({job['lane']})"] = _laid_out(".shared", job)
    for job in matrix["services"] if ".services" in kept else ():
        pipeline[f"bake {job['name']} ({job['lane']})"] = {
            **_laid_out(".services", job),
            # the stage has jobs of other lanes too: this one waits for its own lane alone
            "needs": [f"shared ({job['lane']})"],
        }
    # what the summary reads: a variable holds no more than 128 KiB
    short = json.dumps({"shared": matrix["shared"], "unchanged": matrix["unchanged"]})
    variables = {"MATRIX": {"value": short, "expand": False}}
    pipeline |= {"tag": {"extends": ".tag"}} if ".tag" in kept else {}
    return json.dumps(
        {**pipeline, "summary": {"extends": ".summary", "variables": variables}}, indent=1
    )


def _laid_out(kind: str, job: Job) -> dict[str, Any]:
    variables = {"JOB": {"value": json.dumps(job), "expand": False}}
    return {
        "extends": kind,
        "variables": variables,
        **({"tags": [job["runner"]]} if job["runner"] else {}),
    }
