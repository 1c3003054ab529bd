"""What is known of a fleet's images, in the figures of `slimbake sizes`. Nothing is built, run or
measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from slimbake.catalogue import rules
from slimbake.console.tables import some
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents, Owner, Part, Survey
from slimbake.images.measure import last_measurement, layer_record
from slimbake.images.report import sizes_json
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.release.inputs import last_images

_UNREAD = Owner("directory", "not read here")

Value = dict[str, Any]


def recorded_facts(project: Project) -> Value:
    """All that the page shows. What is not recorded is in `missing`, with the command that records
    it.
    """
    plan, workspace = project.plan, project.workspace
    last = last_measurement(last_images(workspace), workspace)
    baked = {image.name: image for image in last.images}
    names = [service.service for service in plan.services]
    images = tuple(baked[name] for name in names if name in baked)
    contents = {
        layer.diff: _contents(layer, workspace) for image in images for layer in image.layers
    }
    survey = Survey(Measurement(images), contents)
    sizes = sizes_json(survey)
    unbaked = [name for name in names if name not in baked]
    unread = [
        name for row in sizes["packages"] if row["name"] == _UNREAD.name for name in row["images"]
    ]
    missing = []
    if unbaked:
        command = " ".join(["slimbake bake", *(unbaked if images else ())])
        missing.append((f"sizes of {some(unbaked, 3)}", command))
    if unread:
        command = f"slimbake bake {' '.join(unread)} && slimbake sizes {' '.join(unread)}"
        missing.append((f"packages of {some(unread, 3)}", command))
    return {
        "project": plan.project,
        "sizes": sizes,
        "alone": sum(image.uncompressed for image in images),
        "budgets": {service.service: service.budget for service in plan.services},
        "unbaked": unbaked,
        "targets": _targets(plan, images),
        "rules": _rules(survey),
        "missing": missing,
    }


def _contents(layer: MeasuredLayer, workspace: Workspace) -> Contents:
    """What is in a layer, as the bake read it; where that record is gone, one part."""
    part = Part(_UNREAD, layer.uncompressed, layer.files)
    unread = Contents(layer.uncompressed, layer.files, (part,))
    return layer_record(layer.diff, workspace) or unread


def _targets(plan: Plan, images: Sequence[Image]) -> dict[str, str]:
    """The target that lays each layer, by its digest, where that is known."""
    targets: dict[str, str] = {}
    for image in images:
        names = layers(plan, image.name, len(image.layers))
        if len(names) == len(image.layers):
            targets |= {layer.diff: name for layer, name in zip(image.layers, names, strict=True)}
    return targets


def _rules(survey: Survey) -> list[Value]:
    """What each rule took, by the ledgers in the layers."""
    saved: Counter[str] = Counter()
    for taken in (taken for contents in survey.contents.values() for taken in contents.taken):
        saved[taken.by] += taken.bytes
    catalogue = {rule.name: rule for rule in rules()}
    return [{"name": name, "rule": catalogue.get(name), "bytes": saved[name]} for name in saved]
