"""The first stage: `services.yaml` in, a checked Manifest out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from slimbake.config.axes import images
from slimbake.config.document import KeyPath
from slimbake.config.model import Manifest
from slimbake.config.places import RequirementPlaces
from slimbake.config.read import Reader
from slimbake.config.rules import rules
from slimbake.config.structure import structure

__all__ = ["MANIFEST_SCHEMA", "manifest", "refuse_debs", "refuse_images", "requirement_places"]

MANIFEST_SCHEMA = Path(__file__).with_name("services.schema.json")
_BEGINS = "a manifest begins with: project: NAME"


def manifest(path: Path, text: str | None = None) -> Manifest:
    """Read and check a manifest and the files that it names. `text`: what to read in place of the
    file's own text, as if it was there.

    Raises ManifestError with every problem found, each with its place.
    """
    sound, report = structure(path, MANIFEST_SCHEMA, _BEGINS, text)
    rules(sound, report)
    result = Reader(path.parent.resolve() / path.name, report).manifest(sound)
    report.stop()
    return replace(result, warnings=tuple(report.warnings))


def refuse_debs(path: Path, faults: Mapping[str, tuple[str, str]]) -> None:
    """Raise ManifestError for Debian packages that cannot be had, wherever the manifest names them.

    `faults`: package -> a message and a hint.
    """
    sound, report = structure(path, MANIFEST_SCHEMA, _BEGINS)
    for kind in ("bases", "services"):
        for name, entry in sound.get(kind, {}).items():
            at: KeyPath = (kind, name)
            for keys, holder in ((at, entry), ((*at, "wheels"), entry.get("wheels", {}))):
                for index, package in enumerate(holder.get("system", ())):
                    if package in faults:
                        report.value((*keys, "system", index), *faults[package])
    report.stop()


def refuse_images(path: Path, faults: Mapping[tuple[str, str], tuple[str, str]]) -> None:
    """Raise ManifestError for images of `from` that cannot be used, wherever the manifest names
    them.

    `faults`: image and version of Python -> a message and a hint.
    """
    sound, report = structure(path, MANIFEST_SCHEMA, _BEGINS)
    for image, version in images(sound):
        if (image.value, version) in faults and not report.has_value(image.path):
            report.value(image.path, *faults[image.value, version])
    report.stop()


def requirement_places(path: Path) -> RequirementPlaces:
    """Where a manifest, which was read before, and its files ask for packages."""
    return RequirementPlaces(path.parent, *structure(path, MANIFEST_SCHEMA, _BEGINS))
