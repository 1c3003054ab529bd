"""What `slimbake bake` prints: sizes of what it built, and what it found on the registry. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slimbake.console import tables as report
from slimbake.images.sizes import Measurement

_HELD = "on the registry"


def text(measurement: Measurement, held: Mapping[str, str]) -> str:
    """A row for each image; `held`: service -> digest, of what was not built and so not measured."""
    rows = report.size_rows(measurement)
    columns = len(report.HEADINGS)
    for name, digest in held.items():
        row = (name, digest.removeprefix("sha256:")[:12], _HELD)
        rows.append((*row, *("" for _ in range(columns - len(row)))))
    table = report.text_table(report.HEADINGS, rows)
    return f"{table}\n{report.summary(measurement)}" if measurement.images else table


def as_json(measurement: Measurement, held: Mapping[str, str]) -> dict[str, Any]:
    """The measurement for scripts, and beside it the digests of what the registry had:
    `on_registry`.
    """
    return {
        **measurement.as_json(),
        "on_registry": {name: {"digest": digest} for name, digest in held.items()},
    }
