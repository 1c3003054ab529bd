"""The first stage: `services.yaml` in, a checked Manifest out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from slimbake.config.model import Manifest
from slimbake.config.read import Reader
from slimbake.config.rules import rules
from slimbake.config.structure import structure

__all__ = ["MANIFEST_SCHEMA", "manifest"]

MANIFEST_SCHEMA = Path(__file__).with_name("services.schema.json")


def manifest(path: Path) -> Manifest:
    """Read and check a manifest and the files that it names.

    Raises ManifestError with every problem found, each with its place.
    """
    sound, report = structure(path, MANIFEST_SCHEMA, "a manifest begins with: project: NAME")
    rules(sound, report)
    result = Reader(path.parent.resolve() / path.name, report).manifest(sound)
    report.stop()
    return replace(result, warnings=tuple(report.warnings))
