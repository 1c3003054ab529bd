"""What is recorded of a fleet, as plain values for the page. Nothing is built, run or measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimbake.catalogue import rules
from slimbake.ci.model import Record
from slimbake.config.naming import SIZES
from slimbake.console.tables import some
from slimbake.errors import SlimbakeError
from slimbake.host.git import GitRepository
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents
from slimbake.images.measure import layer_record
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.report.images import MeasuredImage, measured_images

COMMITS = 100  # of a history, the latest ones

Value = dict[str, Any]


def recorded_facts(project: Project, records: Sequence[Record]) -> Value:
    """All that the page shows. What is not recorded is in `missing`, with the command that records
    it.

    `records`: of jobs of a pipeline; what they built wins over what this machine knows.
    """
    plan = project.plan
    images = measured_images(plan, project.root, project.workspace) if not records else {}
    found = {name: _image(image) for name, image in images.items()} | _of_records(plan, records)
    unmeasured = [service.service for service in plan.services if service.service not in found]
    contents = _contents(found, project.workspace)
    unread = [
        name
        for name, image in found.items()
        if not all(contents[part["diff"]] for part in image["parts"] if part["size"])
    ]
    history = _history(project)
    missing = [
        _missing(
            "sizes of " + some(unmeasured, 3),
            "slimbake bake " + " ".join(unmeasured[:3]),
            bool(unmeasured),
        ),
        _missing(
            "packages, directories and what rules took in layers of " + some(unread, 3),
            "slimbake sizes " + " ".join(unread[:3]),
            bool(unread),
        ),
        _missing(
            "sizes over commits: no commit has bake/sizes.json",
            "slimbake sizes --record",
            not history,
        ),
    ]
    return {
        "project": plan.project,
        "services": list(_services(plan, found)),
        "layers": _layers(found, contents),
        "history": history,
        "rules": [{"name": each.name, "about": each.about, "why": each.why} for each in rules()],
        "missing": [each for each in missing if each],
    }


def _missing(what: str, command: str, is_missing: bool) -> Value:
    return {"what": what, "command": command} if is_missing else {}


def _image(image: MeasuredImage) -> Value:
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
        diff: layer_record(diff, workspace)
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
    """By digest: who has it, what it weighs, and what is in it; what rules took is bytes less than
    before, by rule and package.
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
