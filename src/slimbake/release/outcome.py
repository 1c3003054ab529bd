"""What `slimbake bake` prints: sizes of what it built, and what it found on the registry."""

from __future__ import annotations

from typing import Any

from slimbake import docker
from slimbake.console.tables import WIDTH, readable, text_table
from slimbake.docker.images import PROJECT
from slimbake.images.sizes import Measurement, short, size_summary, size_table
from slimbake.release.release import Released
from slimbake.release.starts import Checks

_HELD = "on the registry"


def released_text(released: Released, width: int = WIDTH) -> str:
    """A row for each image, also for what was not built, and so not measured; "" without images."""
    sizes, size_rows = size_table(released.measurement)
    headings = (*sizes, "checks")
    rows = [(*row, _checks(released, row[0])) for row in size_rows]
    for image in released.on_registry:
        rows.append((image.target, short(image.digest), _HELD, *[""] * (len(headings) - 3)))
    if not rows:
        return ""
    parts = [text_table(headings, rows, width=width)]
    if released.measurement.images:
        parts.append(size_summary(released.measurement))
    return "\n".join(parts)


def metadata(released: Released) -> dict[str, dict[str, str]]:
    """What was released, as `docker buildx bake --metadata-file` writes it. The digest is the
    registry's after a push, and else the engine's.
    """
    digests = {image.name: image.digest for image in released.measurement.images}
    for target, reference in released.pushed.items():
        digests[target] = reference.partition("@")[2]
    return {
        target: {"containerimage.digest": digests[target], "image.name": name}
        for target, name in released.names.items()
        if target in digests
    }


def ending(released: Released, last: Measurement, seconds: float) -> str:
    """One line on what happened. `last`: of the last bake, as far as it is known."""
    images = released.measurement.images
    counts = {
        "built": len(released.built),
        "from cache": len(images) - len(released.built) - len(released.unchanged),
        "unchanged": len(released.unchanged),
        "on the registry": len(released.on_registry),
        "failed": len(released.failures),
    }
    phrases = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    text = f"{phrases or 'nothing built'} in {seconds:.0f} s"
    if not images:
        return text
    image_before = {image.name: image for image in last.images}
    before = []
    same = 0
    for image in images:
        if image.name in image_before:
            before.append(image_before[image.name])
            same += image.digest == before[-1].digest
    text += f"; digests: {len(images) - same} new, {same} as before"
    ran = 0
    passed = 0
    for checks in released.checks.values():
        ran += len(checks.ran)
        passed += len(checks.passed)
    text += f"; checks: {ran} run, {passed - ran} remembered"
    if len(before) == len(images):
        change = released.measurement.host - Measurement(tuple(before)).host
        text += f"; {readable(change, signed=True)} on a host against the last bake"
    return text


def next_step(project: str) -> str:
    """What to do after a bake that pushes nothing; "" where something of the project runs."""
    if docker.running(f"label={PROJECT}={project}"):
        return ""
    return "next: slimbake up"


def released_json(released: Released) -> dict[str, Any]:
    """The measurement for scripts, and beside it: `on_registry`, the digests of what the registry
    had; `tagged`, the name of each image that got one; `failed`, why each other got none.
    """
    result = released.measurement.as_json()
    for name, checks in released.checks.items():
        result["images"][name] |= {"checks": checks.passed, "unchecked": checks.missing}
    on_registry = {image.target: {"digest": image.digest} for image in released.on_registry}
    failed = {name: error.message for name, error in released.failures.items()}
    return {**result, "on_registry": on_registry, "tagged": {**released.names}, "failed": failed}


def _checks(released: Released, name: str) -> str:
    """What an image has passed, and what it lacks: `start smoke`, `start (no smoke)`; or that it has
    no tag.
    """
    if name in released.failures:
        return "failed: not tagged"
    checks = released.checks.get(name, Checks(()))
    words = [*checks.passed]
    if checks.missing:
        words.append(f"(no {', no '.join(checks.missing)})")
    return " ".join(words)
