"""The first stage: `services.yaml` in, a checked Manifest out."""

from __future__ import annotations

from pathlib import Path

from slimbake.manifest.check import check
from slimbake.manifest.document import document
from slimbake.manifest.model import Manifest
from slimbake.manifest.read import Reader
from slimbake.manifest.report import Report
from slimbake.manifest.rules import rules
from slimbake.manifest.source import refused, source
from slimbake.manifest.variants import expanded

__all__ = ["manifest"]


def manifest(path: Path) -> Manifest:
    """Read and check a manifest and the files that it names.

    Raises ManifestError with every problem found, each with its place.
    """
    text = source(path)
    report = Report(path.name, text)
    found = document(text)
    for fault in found.faults:
        first = f" (first: {report.where(fault.path)})" if fault.twin else ""
        report.place(fault.place, fault.path, fault.message + first, fault.hint)
    if not found.complete:
        report.stop()
    if found.value is None:
        raise refused(path, "the file is empty", "a manifest begins with: project: NAME")
    sound = check(found.value, report)
    rules(sound, report)
    result = Reader(path.parent.resolve() / path.name, report).manifest(sound)
    report.stop()
    return expanded(result)
