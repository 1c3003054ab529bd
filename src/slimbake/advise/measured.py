"""What was measured of a fleet: committed beside the manifest, or on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from slimbake.advise.model import WeighedImage, WeighedPart
from slimbake.build.known import last_images
from slimbake.checks.limits import Action, Limits
from slimbake.config.naming import EVIDENCE
from slimbake.errors import UsageError
from slimbake.host.workspace import FOLDER, Workspace
from slimbake.images.measured import MEASURED, remembered
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan

SIZES = f"{EVIDENCE}/sizes.json"
LIMITS = f"{EVIDENCE}/limits.json"
IMAGES = f"{EVIDENCE}/images.json"


def weighed_images(plan: Plan, root: Path, workspace: Workspace) -> dict[str, WeighedImage]:
    """Each service's image as it was last baked here, else as it is committed; not there where it
    was never measured.

    Raises UsageError for a file that `slimbake sizes --compress --json` did not write.
    """
    committed = _read(root, SIZES).get("images", {})
    try:
        packed = {part["diff"]: part for image in committed.values() for part in image["layers"]}
        known = {
            service.service: _weighed(
                plan, service.service, image["digest"], image["layers"], packed, SIZES
            )
            for service in plan.services
            if (image := committed.get(service.service))
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise _foreign(SIZES, "slimbake sizes --compress --json", error) from None
    last = {
        name: image
        for name, image in last_images(workspace).items()
        if name in {s.service for s in plan.services}
    }
    here = f"{FOLDER}/{MEASURED}.json"
    for image in remembered(last, workspace).images:
        if image.name not in known or known[image.name].digest != image.digest:
            parts = [layer.as_json() for layer in image.layers]
            known[image.name] = _weighed(plan, image.name, image.digest, parts, packed, here)
    return known


def _weighed(
    plan: Plan, service: str, digest: str, parts: list[Any], packed: Mapping[str, Any], source: str
) -> WeighedImage:
    """`packed`: digest of a layer -> what it is as gzip and zstd, where that was measured."""
    names = layers(plan, service)
    targets = names if len(names) == len(parts) else ("",) * len(parts)
    made = (
        WeighedPart(
            target=target,
            diff=part["diff"],
            uncompressed=int(part["uncompressed"]),
            compressed=part["compressed"],
            gzip=packed.get(part["diff"], {}).get("gzip"),
            zstd=packed.get(part["diff"], {}).get("zstd"),
        )
        for target, part in zip(targets, parts, strict=True)
    )
    return WeighedImage(digest, tuple(made), source)


def committed_limits(root: Path) -> dict[str, Limits]:
    """What images hold against what is used of it. Raises UsageError for a file of another kind."""
    names = [field.name for field in fields(Limits)]
    try:
        return {
            name: _limits({key: known[key] for key in names})
            for name, known in _read(root, LIMITS).items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise _foreign(LIMITS, "slimbake limits --json", error) from None


def _limits(known: dict[str, Any]) -> Limits:
    left = known.pop("left")
    return Limits(
        **known, left=None if left is None else tuple(Action(**action) for action in left)
    )


def committed_starts(root: Path) -> dict[str, tuple[float | None, int | None]]:
    """Start-up in seconds and resident bytes of each image with its passes, as `slimbake prove`
    measured them.
    """
    known = _read(root, IMAGES).get("services", {})
    try:
        sides = {name: sides.get("with", {}) for name, sides in known.items()}
        return {name: (side.get("startup"), side.get("rss")) for name, side in sides.items()}
    except AttributeError as error:
        raise UsageError(
            f"{IMAGES} holds no measurement ({error})", "`slimbake prove` writes one"
        ) from None


def _read(root: Path, file: str) -> dict[str, Any]:
    if not (root / file).is_file():
        return {}
    try:
        return dict(json.loads((root / file).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{file} cannot be read: {error}", "take it from Git again, or measure anew"
        ) from None


def _foreign(file: str, command: str, error: Exception) -> UsageError:
    what = f"{type(error).__name__}: {error}"
    return UsageError(f"{file} holds no measurement ({what})", f"`{command} > {file}` writes one")
