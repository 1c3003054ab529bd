"""A YAML file against its schema: what every file that a person writes is checked for first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slimbake.config.check import check
from slimbake.config.document import read_yaml
from slimbake.config.report import Report
from slimbake.config.source import refused, source


def structure(path: Path, schema: str, begins: str) -> tuple[dict[str, Any], Report]:
    """What of a file is sound, and the report of what is not, for rules to go on with.

    `schema`: the name of its file; `begins`: what to tell who left the file empty. Raises
    ManifestError where the file cannot be read to its end.
    """
    found = read_yaml(source(path))
    report = Report(path.name, found.places)
    for fault in found.faults:
        first = f" (first: {report.where(fault.path)})" if fault.twin else ""
        report.place(fault.place, fault.path, fault.message + first, fault.hint)
    if not found.complete:
        report.stop()
    if found.value is None:
        raise refused(path, "the file is empty", begins)
    return check(found.value, report, schema), report
