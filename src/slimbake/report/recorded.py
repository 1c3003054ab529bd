"""What is recorded of a fleet, as plain values for the page. Nothing is built, run or measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimbake.advise.advice import advice
from slimbake.advise.facts import SIZES, facts, weighed_images
from slimbake.advise.model import WeighedImage
from slimbake.build.timing import costs
from slimbake.ci.model import Record
from slimbake.console.tables import some
from slimbake.errors import SlimbakeError
from slimbake.evidence.selection import why_not, why_stale
from slimbake.host.git import GitRepository
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents
from slimbake.images.survey import LAYERS
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan
from slimbake.project import Project

COMMITS = 100  # of a history, the latest ones

Value = dict[str, Any]


def recorded_facts(project: Project, records: Sequence[Record]) -> Value:
    """All that the page shows. What is not recorded is in `missing`, with the command that records
    it.

    `records`: of jobs of a pipeline; what they built wins over what this machine knows.
    """
    plan = project.plan
    images = weighed_images(plan, project.root, project.workspace) if not records else {}
    found = {name: _image(image) for name, image in images.items()} | _of_records(plan, records)
    unmeasured = [each.service for each in plan.services if each.service not in found]
    contents = _contents(found, project.workspace)
    unread = [
        name
        for name, image in found.items()
        if not all(contents[part["diff"]] for part in image["parts"] if part["size"])
    ]
    history = _history(project)
    built = costs(project.workspace)
    advised, unadvised = _advice(project)
    missing = [
        _missing(
            "sizes of " + some(unmeasured, 3),
            "slimbake bake " + " ".join(unmeasured[:3]),
            bool(unmeasured),
        ),
        _missing(
            "packages, directories and what passes took in layers of " + some(unread, 3),
            "slimbake sizes " + " ".join(unread[:3]),
            bool(unread),
        ),
        _missing("how long targets take", "slimbake bake", not built),
        _missing(
            "sizes over commits: no commit has bake/evidence/sizes.json",
            "slimbake sizes --record",
            not history,
        ),
        _missing(f"advice: {unadvised}", "slimbake lock", bool(unadvised)),
    ]
    return {
        "project": plan.project,
        "services": list(_services(plan, found)),
        "layers": _layers(found, contents),
        "costs": built,
        "kinds": {target.name: target.kind for target in plan.targets},
        "history": history,
        "passes": _passes(project),
        "advice": advised,
        "missing": [each for each in missing if each],
    }


def _missing(what: str, command: str, is_missing: bool) -> Value:
    return {"what": what, "command": command} if is_missing else {}


def _image(image: WeighedImage) -> Value:
    parts = [
        {"diff": p.diff, "target": p.target, "size": p.uncompressed, "packed": p.compressed}
        for p in image.parts
    ]
    return {"digest": image.digest, "parts": parts}


def _of_records(plan: Plan, records: Sequence[Record]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    known = {service.service for service in plan.services}
    for image in (image for record in records for image in record.images if image.name in known):
        names = layers(plan, image.name)
        targets = names if len(names) == len(image.layers) else ("",) * len(image.layers)
        parts = [
            {"diff": e.diff, "target": name, "size": e.uncompressed, "packed": e.compressed}
            for e, name in zip(image.layers, targets, strict=True)
        ]
        found[image.name] = {"digest": image.digest, "parts": parts}
    return found


def _parts(found: Mapping[str, Value]) -> Iterator[Value]:
    return (part for image in found.values() for part in image["parts"] if part["size"])


def _contents(found: Mapping[str, Value], workspace: Workspace) -> dict[str, Contents | None]:
    return {
        diff: workspace.read(f"{LAYERS}/{diff.removeprefix('sha256:')}", Contents.of_json)
        for diff in dict.fromkeys(part["diff"] for part in _parts(found))
    }


def _services(plan: Plan, found: Mapping[str, Value]) -> Iterator[Value]:
    for service in plan.services:
        image = found.get(service.service, {"digest": "", "parts": None})
        yield {
            "name": service.service,
            "digest": image["digest"].removeprefix("sha256:")[:12],
            "layers": image["parts"] and [part["diff"] for part in image["parts"] if part["size"]],
            "budget": {
                "size": service.budget.uncompressed,
                "packed": service.budget.compressed,
            },
        }


def _layers(found: Mapping[str, Value], contents: Mapping[str, Contents | None]) -> Value:
    """By digest: who has it, what it weighs, and what is in it; what passes took is bytes less than
    before, by pass and package.
    """
    made: Value = {}
    for name, image in found.items():
        for part in image["parts"]:
            if part["size"]:
                each = made.setdefault(part["diff"], {**part, "users": []})
                if each["users"][-1:] != [name]:  # an image may hold a layer twice
                    each["users"].append(name)
    for diff, each in made.items():
        if known := contents[diff]:
            each["parts"] = [
                [p.directory, p.owner.kind, p.owner.name, p.owner.version, p.uncompressed, p.files]
                for p in known.parts
            ]
            each["taken"] = [[t.by, t.package, t.bytes, t.files] for t in known.taken]
    return made


def _history(project: Project) -> list[Value]:
    """Sizes as commits recorded them, the oldest first; [] without Git, or where none did."""
    found = []
    try:
        past = GitRepository(project.root).versions(SIZES, COMMITS)
    except SlimbakeError:
        return []
    for commit, when, text in past:
        try:
            images = json.loads(text)["images"]
            sizes = {n: [i["uncompressed"], i["compressed"]] for n, i in images.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # what a commit has under this name need not be ours
        found.append({"commit": commit[:12], "when": when, "sizes": sizes})
    return found


def _passes(project: Project) -> list[Value]:
    """Every pass, and what is known of it on each layer that carries it or has evidence of it."""
    known: dict[str, Value] = {
        each.name: {
            "name": each.name,
            "guarantee": each.guarantee,
            "about": each.about,
            "costs": each.costs,
            "layers": [],
        }
        for each in project.evidence.catalogue
    }
    for answers in project.evidence.layers:
        pins = answers[0].question.pins
        for each in project.evidence.catalogue:
            finding = next((found for one in answers if (found := one.found(each))), None)
            state = why_not(answers, each) or "carried"
            if finding or (state == "carried" and each.carried and each.applies(pins)):
                known[each.name]["layers"].append(
                    {
                        "layer": answers[0].question.layer,
                        "state": state,
                        "verdict": finding and finding.verdict,
                        "stale": why_stale(answers, each) if finding else "",
                        "bytes": finding and finding.bytes,
                        "files": finding and finding.files,
                    }
                )
    return list(known.values())


def _advice(project: Project) -> tuple[list[Value], str]:
    """What `slimbake advise` says; or why it cannot say anything."""
    try:
        if project.stale_locks:
            return [], f"{len(project.stale_locks)} locks are stale"
        known = facts(project, whole_fleet=False)  # for the fleet, it would plan all layers
        names = tuple(service.service for service in project.plan.services)
        advised = advice(known, names)
    except SlimbakeError as error:
        return [], error.message
    return [
        {"service": each.service, **each.as_json()}
        for each in advised
        if each.advice or each.unmeasured
    ], ""
