"""What is known of a fleet's images, in the figures of `slimbake sizes`. Nothing is built, run or
measured.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimbake.catalogue import rules
from slimbake.ci.model import Record
from slimbake.config.naming import SIZES
from slimbake.console.tables import counted, some
from slimbake.errors import SlimbakeError
from slimbake.host.git import GitRepository
from slimbake.host.typed import WRONG
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents, Owner, Part, Survey
from slimbake.images.measure import last_measurement, layer_record
from slimbake.images.report import sizes_json
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.release.inputs import last_images
from slimbake.report.treemap import squarified

COMMITS = 100  # of a history, the latest ones
_SMALLEST = 0.0002  # of the map: smaller layers, and packages of a layer, share a tile
_UNREAD = Owner("directory", "not read here")

Value = dict[str, Any]


def recorded_facts(project: Project, records: Sequence[Record]) -> Value:
    """All that the page shows. What is not recorded is in `missing`, with the command that records
    it.

    `records`: of jobs of a pipeline; where there are any, the page shows what they built alone, and
    else what was baked on this machine.
    """
    plan, workspace = project.plan, project.workspace
    last = last_measurement({} if records else last_images(workspace), workspace)
    built = (image for record in records for image in record.images)
    baked = {image.name: image for image in (*last.images, *built)}
    names = [service.service for service in plan.services]
    images = tuple(baked[name] for name in names if name in baked)
    distinct = {layer.diff: layer for image in images for layer in image.layers}
    survey = Survey(
        Measurement(images),
        {diff: _contents(layer, workspace) for diff, layer in distinct.items()},
    )
    sizes = sizes_json(survey)
    unbaked = [name for name in names if name not in baked]
    unread = [
        name for row in sizes["packages"] if row["name"] == _UNREAD.name for name in row["images"]
    ]
    history = list(_history(project))
    recordings = (
        (
            f"sizes of {some(unbaked, 3)}",
            " ".join(("slimbake bake", *(unbaked if images else ()))),
            unbaked and not records,
        ),
        (
            f"packages of {some(unread, 3)}",
            f"slimbake bake {' '.join(unread)} && slimbake sizes {' '.join(unread)}",
            unread,
        ),
        (
            f"sizes over commits: no commit has {SIZES}",
            "slimbake sizes --record",
            last.images and not history,
        ),
    )
    return {
        "project": plan.project,
        "records": len(records),
        "sizes": sizes,
        "alone": sum(image.uncompressed for image in images),
        "budgets": {service.service: service.budget for service in plan.services},
        "unbaked": unbaked,
        "targets": _targets(plan, images),
        "map": list(_map(survey, sizes["layers"])),
        "rules": _rules(survey),
        "history": history,
        "missing": [(what, command) for what, command, is_missing in recordings if is_missing],
    }


def _contents(layer: MeasuredLayer, workspace: Workspace) -> Contents:
    """What is in a layer, as the bake read it; where that record is gone, one part."""
    part = Part("/", _UNREAD, layer.uncompressed, layer.files)
    unread = Contents(layer.uncompressed, layer.files, (), (part,), ())
    return layer_record(layer.diff, workspace) or unread


def _targets(plan: Plan, images: Sequence[Image]) -> dict[str, str]:
    """The target that lays each layer, by its digest, where that is known."""
    targets: dict[str, str] = {}
    for image in images:
        names = layers(plan, image.name)
        if len(names) == len(image.layers):
            targets |= {layer.diff: name for layer, name in zip(image.layers, names, strict=True)}
    return targets


def _map(survey: Survey, rows: Sequence[Value]) -> Iterator[Value]:
    """Each layer as often as a host has it, and in it each package."""
    by_digest = {row["name"]: row for row in rows}
    least = _SMALLEST * survey.measurement.host
    groups = _largest({digest: row["on_host"] for digest, row in by_digest.items()}, least, "layer")
    for (digest, size), box in zip(groups.items(), squarified([*groups.values()]), strict=True):
        packages: Counter[str] = Counter()
        if row := by_digest.get(digest):
            for part in survey.contents[digest].parts:
                name = f"{part.owner.name} {part.owner.version}".strip()
                packages[name] += part.uncompressed * size // row["uncompressed"]
        tiles = _largest(packages, least, "package") if packages else {digest: size}
        boxes = squarified([*tiles.values()], box)
        yield {"layer": row, "box": box, "tiles": list(zip(tiles.items(), boxes, strict=True))}


def _largest(sizes: Mapping[str, int], least: float, noun: str) -> dict[str, int]:
    """The largest first; those below `least` as one, the last. Nothing empty."""
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    shown = {name: size for name, size in ordered if size >= least and size}
    rest = [size for name, size in ordered if name not in shown and size]
    return {**shown, counted(len(rest), f"smaller {noun}"): sum(rest)} if rest else shown


def _rules(survey: Survey) -> list[Value]:
    """What each rule took, by the ledgers in the layers."""
    saved: Counter[str] = Counter()
    for taken in (taken for contents in survey.contents.values() for taken in contents.taken):
        saved[taken.by] += taken.bytes
    catalogue = {rule.name: rule for rule in rules()}
    return [{"name": name, "rule": catalogue.get(name), "bytes": saved[name]} for name in saved]


def _history(project: Project) -> Iterator[Value]:
    """For each service of the latest commit that recorded sizes: day and bytes of each commit that
    has it, the oldest first. Nothing without Git.
    """
    versions: list[tuple[str, dict[str, int]]] = []
    with contextlib.suppress(SlimbakeError):
        for _, when, text in GitRepository(project.root).versions(SIZES, COMMITS):
            with contextlib.suppress(*WRONG):  # what a commit has under this name need not be ours
                images = json.loads(text)["images"].items()
                sizes = {name: int(float(image["uncompressed"])) for name, image in images}
                versions.append((when[:10], sizes))
    for name in versions[-1][1] if versions else ():
        points = [(when, sizes[name]) for when, sizes in versions if name in sizes]
        yield {"name": name, "points": points, "most": max(size for _, size in points) or 1}
