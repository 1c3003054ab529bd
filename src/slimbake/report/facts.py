"""What is known of a fleet's images, in the figures of `slimbake sizes`. Nothing is built, run or
measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from slimbake.catalogue import rules
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents, Owner, Part, Survey
from slimbake.images.measure import last_measurement, layer_record
from slimbake.images.report import sizes_json
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.inside.lines import some
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.release.inputs import last_images
from slimbake.report.layers import laid_layers

_UNREAD = Owner("directory", "not read here")

Value = dict[str, Any]


def recorded_facts(project: Project) -> Value:
    """All that the page shows. What is not recorded is in `missing`, with the command that records
    it.
    """
    plan, workspace = project.plan, project.workspace
    last = last_measurement(last_images(workspace), workspace)
    baked = {image.name: image for image in last.images}
    images = []
    unbaked = []
    contents = {}
    for name in plan.service_names:
        if name not in baked:
            unbaked.append(name)
            continue
        images.append(baked[name])
        for layer in baked[name].layers:
            contents[layer.diff] = _contents(layer, workspace)
    survey = Survey(Measurement(tuple(images)), contents)
    sizes = sizes_json(survey)
    missing = []
    if unbaked:
        services = f" {' '.join(unbaked)}" if images else ""
        missing.append((f"sizes of {some(unbaked, 3)}", f"slimbake bake{services}"))
    for row in sizes["packages"]:
        if row["name"] == _UNREAD.name:
            services = " ".join(row["images"])
            command = f"slimbake bake {services} && slimbake sizes {services}"
            missing.append((f"packages of {some(row['images'], 3)}", command))
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
        for name, layer in laid_layers(plan, image):
            targets[layer.diff] = name
    return targets


def _rules(survey: Survey) -> list[Value]:
    """What each rule took, by the ledgers in the layers."""
    saved: Counter[str] = Counter()
    for contents in survey.contents.values():
        for taken in contents.taken:
            saved[taken.by] += taken.bytes
    catalogue = {rule.name: rule for rule in rules()}
    return [{"name": name, "rule": catalogue.get(name), "bytes": saved[name]} for name in saved]
