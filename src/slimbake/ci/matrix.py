"""The jobs of a pipeline in waves, from the plan's graph: what is shared is built once, and before
what is built on it.

Wave 1 is one job for each lane, not one for each base: a base that extends another waits for it
anyway, those that do not are built side by side by BuildKit, and no base has to be pulled to build
the next. All exports and references are made on one base, which the job has and which is not
pushed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    changed = [name for name in selected if name not in unchanged]
    services_of: dict[Lane, list[str]] = {}
    for lane in plan.pipeline.lanes:
        services = [name for name in changed if plan.in_lane(name, lane)]
        if services:
            services_of[lane] = services
    shared_jobs = []
    service_jobs: list[Job] = []
    for lane, services in services_of.items():
        shared_jobs.append(_job(plan, lane, lane.name, lane.name, services))
        service_jobs += _service_jobs(plan, lane, services, MOST_JOBS // len(services_of))
    return {
        "shared": shared_jobs,
        "services": service_jobs,
        "unchanged": " ".join(name for name in selected if name in unchanged),
    }


def _service_jobs(plan: Plan, lane: Lane, services: Sequence[str], most: int) -> Iterator[Job]:
    units = _units(plan, services)
    for number in range(min(most, len(units))):
        names: list[str] = []
        for unit in units[number::most]:
            names += unit
        title = names[0]
        if len(names) > 1:
            title += f" and {len(names) - 1} more"
        yield _job(plan, lane, f"{lane.name}-{number}", title, names)


def _job(plan: Plan, lane: Lane, number: str, name: str, services: Iterable[str]) -> Job:
    platforms = lane.platforms if len(plan.pipeline.lanes) > 1 else ()
    return {
        "id": number,
        "name": name,
        "services": " ".join(services),
        "lane": lane.name,
        "runner": lane.runner,
        "platform": ",".join(platforms),
    }


def _units(plan: Plan, names: Sequence[str]) -> list[list[str]]:
    """The services that one job builds: each with those that its start check starts beside it, as
    no other job has pushed them by then.
    """
    unit_of = {name: {name} for name in names}
    for service in plan.running(names):
        for other in plan.company(service):
            if other.service in unit_of:
                both = unit_of[service.service] | unit_of[other.service]
                unit_of |= dict.fromkeys(both, both)
    units: dict[frozenset[str], list[str]] = {}
    for name, unit in unit_of.items():
        units.setdefault(frozenset(unit), []).append(name)
    return list(units.values())


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
    pipeline: dict[str, Any] = {
        "stages": ["shared", "services", "tag", "summary"],
        "variables": parent["variables"],
    }
    for name, template in parent.items():
        if name.startswith(".") or name == "default":
            pipeline[name] = template
    for job in matrix["shared"]:
        pipeline[f"check ({job['lane']})"] = _from_template(".check", job)
        if ".shared" in parent:
            pipeline[f"shared ({job['lane']})"] = _from_template(".shared", job)
    if ".services" in parent:
        for job in matrix["services"]:
            entry = _from_template(".services", job)
            # The stage has jobs of other lanes too: this one waits for its own lane alone.
            entry["needs"] = [f"shared ({job['lane']})"]
            pipeline[f"bake {job['name']} ({job['lane']})"] = entry
    if ".tag" in parent:
        pipeline["tag"] = {"extends": ".tag"}
    # What the summary reads; a variable holds no more than 128 KiB.
    text = json.dumps({"shared": matrix["shared"], "unchanged": matrix["unchanged"]})
    variables = {"MATRIX": {"value": text, "expand": False}}
    pipeline["summary"] = {"extends": ".summary", "variables": variables}
    return json.dumps(pipeline, indent=1)


def _from_template(template: str, job: Job) -> dict[str, Any]:
    variables = {"JOB": {"value": json.dumps(job), "expand": False}}
    entry: dict[str, Any] = {"extends": template, "variables": variables}
    if job["runner"]:
        entry["tags"] = [job["runner"]]
    return entry
