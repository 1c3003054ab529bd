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
                job for lane, names in lanes.items() for job in _services(plan, lane, names, shared)
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


def _services(plan: Plan, lane: Lane, names: tuple[str, ...], most: int) -> Iterator[ServicesJob]:
    units = _units(plan, names)
    for number in range(min(most, len(units))):
        group = tuple(itertools.chain(*units[number::most]))
        first, *others = group
        yield {
            "id": f"{lane.name}-{number}",
            "name": f"{first} and {len(others)} more" if others else first,
            "services": " ".join(group),
            "lane": lane.name,
            "runner": lane.runner,
            "platform": _platform(plan, lane),
        }


def _units(plan: Plan, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The services that one job builds: each with those that its start check starts beside it, as
    no other job has pushed them by then.
    """
    place = {name: index for index, name in enumerate(names)}
    units = {name: (name,) for name in names}
    for each in plan.services:
        for other in plan.company(each):
            both = {*units.get(each.service, ()), *units.get(other.service, ())}
            if {each.service, other.service} <= both:
                units |= dict.fromkeys(both, tuple(sorted(both, key=place.__getitem__)))
    return [unit for name, unit in units.items() if unit[0] == name]


def _merge(plan: Plan, name: str, lanes: Mapping[Lane, tuple[str, ...]]) -> str:
    target = plan.target(name)
    those = ",".join(lane.name for lane, names in lanes.items() if name in names)
    return f"{target.repository}/{those}/{target.suffix}"


def _platform(plan: Plan, lane: Lane) -> str:
    return ",".join(lane.platforms) if len(plan.pipeline.lanes) > 1 else ""


def _platforms(plan: Plan, service: str, lane: Lane) -> set[str]:
    """What of a service is built in a lane."""
    return set(plan.target(service).platforms or plan.platforms) & set(lane.platforms)


class BasesJob(TypedDict):
    """Wave 1, once for each lane: build and push what services share: bases, exported models,
    references.
    """

    lane: str  # the name of the lane: of its digests, and of the scope of its caches
    runner: str
    platform: str  # with several lanes, what is built for; "" = as planned
    targets: str  # separated by spaces, each after those that it needs
    services: str  # what stands on them in this lane, separated by spaces


class ServicesJob(TypedDict):
    """Wave 2: build, check and push some services on what wave 1 pushed in the same lane."""

    id: str  # names its record; no other job has it
    name: str  # for people
    services: str  # separated by spaces
    lane: str
    runner: str
    platform: str


class Bases(TypedDict):
    include: list[BasesJob]


class Services(TypedDict):
    include: list[ServicesJob]


class Matrix(TypedDict):
    """`bases` and `services`: each a `strategy.matrix`, whose list may be empty."""

    bases: Bases
    services: Services
    # with several lanes: REPOSITORY/LANE,LANE/SUFFIX of each service; its tag's suffix may be empty
    merges: list[str]
    # services that need no job, separated by spaces: a registry holds them, or nothing of them
    # changed
    unchanged: str


# The child pipeline of GitLab: the jobs that the generated .gitlab-ci.yml lays out, each as often
# as the plan has it.
#
# The result is JSON, which is YAML: no text in it can be anything but a text.

STAGES = ("bases", "services", "merge", "summary")


def child(parent: Mapping[str, Any], matrix: Matrix) -> str:
    """The child pipeline. `parent`: what .gitlab-ci.yml says. Its last job is always there: a
    pipeline needs one.
    """
    laid_out = {name: job for name, job in parent.items() if name.startswith(".")}
    made: dict[str, Any] = {"stages": list(STAGES), "variables": parent["variables"], **laid_out}
    for base in matrix["bases"]["include"]:
        made[f"check ({base['lane']})"] = _job(
            "check", base, {"SERVICES": base["services"], "RECORD": base["lane"]}
        )
        if ".bases" in laid_out:
            made[f"bases ({base['lane']})"] = _job("bases", base, {"SERVICES": base["services"]})
    for job in matrix["services"]["include"] if ".services" in laid_out else ():
        # The stage has jobs of other lanes too: this one waits for its own bases alone.
        needs = {"needs": [f"bases ({job['lane']})"]}
        said = _job("services", job, {"SERVICES": job["services"], "RECORD": job["id"]})
        made[f"bake {job['name']} ({job['lane']})"] = {**said, **needs}
    if matrix["unchanged"] and ".unchanged" in laid_out:
        made["unchanged"] = {
            "extends": ".unchanged",
            "variables": {"SERVICES": matrix["unchanged"]},
        }
    if matrix["merges"] and ".merge" in laid_out:
        made["merge"] = {"extends": ".merge", "variables": {"MERGES": " ".join(matrix["merges"])}}
    made["summary"] = {
        "extends": ".summary",
        "variables": {"MATRIX": {"value": _short(matrix), "expand": False}},
    }
    return json.dumps(made, indent=1)


def _job(kind: str, of: Any, variables: Mapping[str, str]) -> dict[str, Any]:
    only = {"PLATFORM": of["platform"]} if of["platform"] else {}
    job = {"extends": f".{kind}", "variables": {**variables, "LANE": of["lane"], **only}}
    return {**job, "tags": [of["runner"]]} if of["runner"] else job


def _short(matrix: Matrix) -> str:
    """What the summary reads of a matrix: a variable holds no more than 128 KiB."""
    jobs = [{"services": job["services"]} for job in matrix["services"]["include"]]
    return json.dumps(
        {"services": {"include": jobs}, "unchanged": matrix["unchanged"]}, separators=(",", ":")
    )
