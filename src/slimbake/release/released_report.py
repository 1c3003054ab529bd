"""What `slimbake bake` prints: sizes of what it built, and what it found on the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slimbake.console.tables import FOLDED, Layout, readable, text_table
from slimbake.images.sizes import Image, Measurement, size_summary, size_table
from slimbake.release.release import Released

_HELD = "on the registry"


def released_text(released: Released, layout: Layout = FOLDED) -> str:
    """A row for each image, also for what was not built, and so not measured."""
    sizes, found = size_table(released.measurement)
    rows = [(*row, _checks(released, row[0])) for row in found]
    headings = (*sizes, "checks")
    for image in released.on_registry:
        row = (image.target, image.digest.removeprefix("sha256:")[:12], _HELD)
        rows.append((*row, *("" for _ in range(len(headings) - len(row)))))
    parts = [text_table(headings, rows, layout=layout)]
    if released.measurement.images:
        parts.append(size_summary(released.measurement))
    return "\n".join(parts)


def ending(released: Released, before: Mapping[str, Image], seconds: float) -> str:
    """One line on how a bake ended. `before`: the images of the last bake, as far as they are known."""
    images = released.measurement.images
    same = sum(i.name in before and before[i.name].digest == i.digest for i in images)
    words = [f"{len(images) - same} built", f"{same} unchanged"]
    if released.on_registry:
        words.append(f"{len(released.on_registry)} on the registry")
    if released.failed:
        words.append(f"{len(released.failed)} failed")
    words.append(f"{sum(bool(passed) for passed, _ in released.checks.values())} checked")
    line = f"{', '.join(words)} in {seconds:.0f} s"
    if images and all(image.name in before for image in images):
        last = Measurement(tuple(before[image.name] for image in images))
        change = released.measurement.host - last.host
        line += f"; {readable(change, signed=True)} on a host against the last bake"
    return line


def released_json(released: Released) -> dict[str, Any]:
    """The measurement for scripts, and beside it the digests of what the registry had:
    `on_registry`.
    """
    found = released.measurement.as_json()
    for name, (passed, missing) in released.checks.items():
        found["images"][name] |= {"checks": passed, "unchecked": missing}
    held = {image.target: {"digest": image.digest} for image in released.on_registry}
    return {**found, "on_registry": held}


def _checks(released: Released, name: str) -> str:
    """What an image has passed, and what it lacks: `start smoke`, `start (no smoke)`."""
    passed, missing = released.checks.get(name, ((), ()))
    lacks = f"({', '.join(f'no {each}' for each in missing)})" if missing else ""
    return " ".join(filter(None, (*passed, lacks)))
