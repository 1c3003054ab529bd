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
from collections.abc import Iterator, Mapping, Sequence
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
    building = tuple(name for name in selected if name not in unchanged)
    lanes = {
        lane: tuple(
            name
            for name in building
            if {*(plan.target(name).platforms or plan.platforms)} & {*lane.platforms}
        )
        for lane in plan.pipeline.lanes
    }
    lanes = {lane: names for lane, names in lanes.items() if names}
    shared = max(1, MOST_JOBS // max(1, len(lanes)))
    return {
        "bases": {
            "include": [
                _job(plan, lane, lane.name, lane.name, names) for lane, names in lanes.items()
            ]
        },
        "services": {
            "include": [
                job for lane, names in lanes.items() for job in _services(plan, lane, names, shared)
            ]
        },
        "merges": [_merge(plan, name, lanes) for name in building]
        if len(plan.pipeline.lanes) > 1
        else [],
        "unchanged": " ".join(name for name in selected if name in unchanged),
    }


def _job(plan: Plan, lane: Lane, id_: str, name: str, services: Sequence[str]) -> Job:
    return {
        "id": id_,
        "name": name,
        "services": " ".join(services),
        "lane": lane.name,
        "runner": lane.runner,
        "platform": ",".join(lane.platforms) if len(plan.pipeline.lanes) > 1 else "",
    }


def _services(plan: Plan, lane: Lane, names: tuple[str, ...], most: int) -> Iterator[Job]:
    units = _units(plan, names)
    for number in range(min(most, len(units))):
        group = tuple(itertools.chain(*units[number::most]))
        first, *others = group
        name = f"{first} and {len(others)} more" if others else first
        yield _job(plan, lane, f"{lane.name}-{number}", name, group)


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


def _merge(plan: Plan, name: str, lanes: Mapping[Lane, tuple[str, ...]]) -> str:
    target = plan.target(name)
    those = ",".join(lane.name for lane, names in lanes.items() if name in names)
    return f"{target.repository}/{those}/{target.suffix}"


class Job(TypedDict):
    """What one job builds: in wave 1 what services share, in wave 2 services on that."""

    id: str  # names its record; no other job of its wave has it
    name: str  # for people
    services: str  # that it builds, or that stand on what it builds; separated by spaces
    lane: str  # the name of the lane: of its digests, and of the scope of its caches
    runner: str
    platform: str  # with several lanes, what is built for; "" = as planned


# `bases` and `services`, each a `strategy.matrix` {"include": [Job, ...]}, whose list may be empty;
# `merges`, with several lanes REPOSITORY/LANE,LANE/SUFFIX of each service, whose tag's suffix may be
# empty; and `unchanged`, services that need no job, separated by spaces: a registry holds them, or
# nothing of them changed.
Matrix = dict[str, Any]

# The child pipeline of GitLab: the jobs that the generated .gitlab-ci.yml lays out, each as often
# as the plan has it.
#
# The result is JSON, which is YAML: no text in it can be anything but a text.

STAGES = ("bases", "services", "merge", "summary")


def child(parent: Mapping[str, Any], matrix: Matrix) -> str:
    """The child pipeline. `parent`: what .gitlab-ci.yml says. Its last job is always there: a
    pipeline needs one.
    """
    templates = {name: job for name, job in parent.items() if name.startswith(".")}
    jobs: dict[str, Any] = {}
    for base in matrix["bases"]["include"]:
        jobs[f"check ({base['lane']})"] = _child_job("check", base)
        if ".bases" in templates:
            jobs[f"bases ({base['lane']})"] = _child_job("bases", base)
    for job in matrix["services"]["include"] if ".services" in templates else ():
        # The stage has jobs of other lanes too: this one waits for its own bases alone.
        needs = {"needs": [f"bases ({job['lane']})"]}
        jobs[f"bake {job['name']} ({job['lane']})"] = _child_job("services", job) | needs
    if matrix["unchanged"] and ".unchanged" in templates:
        jobs["unchanged"] = {
            "extends": ".unchanged",
            "variables": {"SERVICES": matrix["unchanged"]},
        }
    if matrix["merges"] and ".merge" in templates:
        jobs["merge"] = {"extends": ".merge", "variables": {"MERGES": " ".join(matrix["merges"])}}
    jobs["summary"] = {
        "extends": ".summary",
        "variables": {"MATRIX": {"value": _short(matrix), "expand": False}},
    }
    head = {"stages": list(STAGES), "variables": parent["variables"]}
    return json.dumps({**head, **templates, **jobs}, indent=1)


def _child_job(kind: str, job: Job) -> dict[str, Any]:
    variables = {"SERVICES": job["services"], "RECORD": job["id"], "LANE": job["lane"]}
    if job["platform"]:
        variables["PLATFORM"] = job["platform"]
    tags = {"tags": [job["runner"]]} if job["runner"] else {}
    return {"extends": f".{kind}", "variables": variables, **tags}


def _short(matrix: Matrix) -> str:
    """What the summary reads of a matrix: a variable holds no more than 128 KiB."""
    jobs = [{"services": job["services"]} for job in matrix["services"]["include"]]
    return json.dumps(
        {"services": {"include": jobs}, "unchanged": matrix["unchanged"]}, separators=(",", ":")
    )
