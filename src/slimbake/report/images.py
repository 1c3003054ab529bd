"""The images of a fleet as they were measured last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake.config.naming import SIZES
from slimbake.host.files import read_json
from slimbake.host.workspace import Workspace
from slimbake.images.measure import last_measurement
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan
from slimbake.release.inputs import last_images


@dataclass(frozen=True, slots=True)
class MeasuredPart:
    """One layer of an image, under the name of the target that lays it ("" where that is unknown).
    Bytes.
    """

    target: str
    diff: str
    uncompressed: int
    compressed: int | None = None


@dataclass(frozen=True, slots=True)
class MeasuredImage:
    digest: str
    parts: tuple[MeasuredPart, ...]


def measured_images(plan: Plan, root: Path, workspace: Workspace) -> dict[str, MeasuredImage]:
    """Each service's image as it was last baked here, else as `bake/sizes.json` has it.

    Raises UsageError for a file that `slimbake sizes --record` did not write.
    """
    services = {service.service for service in plan.services}
    known: dict[str, MeasuredImage] = {}
    if (root / SIZES).is_file():
        hint = "`slimbake sizes --record` writes one"
        known = read_json(Path(SIZES), lambda said: _committed(plan, said), hint, root)
    last = {name: image for name, image in last_images(workspace).items() if name in services}
    for image in last_measurement(last, workspace).images:
        parts = [layer.as_json() for layer in image.layers]
        known[image.name] = _image(plan, image.name, image.digest, parts)
    return known


def _committed(plan: Plan, content: Any) -> dict[str, MeasuredImage]:
    return {
        service.service: _image(plan, service.service, image["digest"], image["layers"])
        for service in plan.services
        if (image := content["images"].get(service.service))
    }


def _image(plan: Plan, service: str, digest: str, parts: list[Any]) -> MeasuredImage:
    names = layers(plan, service)
    targets = names if len(names) == len(parts) else ("",) * len(parts)
    return MeasuredImage(
        digest,
        tuple(
            MeasuredPart(target, part["diff"], int(part["uncompressed"]), part["compressed"])
            for target, part in zip(targets, parts, strict=True)
        ),
    )
