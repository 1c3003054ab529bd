"""What was measured of parity: read from where bakes leave it, and recorded."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slimbake.config.naming import PARITY
from slimbake.console.tables import WIDTH, text_table
from slimbake.host.files import content, write_atomically
from slimbake.host.typed import WRONG, json_value
from slimbake.host.workspace import Workspace

FILE = PARITY
FIGURES = "parity"  # in the workspace: what bakes measured, in a folder for each service
_LOCAL = ("seconds", "limits", "holds")  # of one machine, or of the manifest


def measured_parity(workspace: Workspace, services: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The figures of these services as they were last measured here; of several platforms, the
    first by name.
    """
    measured: dict[str, dict[str, Any]] = {}
    for service in services:
        files = sorted(workspace.path(f"{FIGURES}/{service}").rglob("parity.json"))
        if not files:
            continue
        with contextlib.suppress(OSError, *WRONG):  # it is of the image
            figures = dict(json_value(content(files[0].parent, files[0].name)))
            parity_table({service: figures})  # raises for figures that are none
            measured[service] = figures
    return measured


def write_parity(figures: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """Keep figures in the repository, beside those of other services."""
    kept = read_parity(root)
    for service, numbers in figures.items():
        kept[service] = {key: value for key, value in numbers.items() if key not in _LOCAL}
    write_atomically(root / FILE, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())


def read_parity(root: Path) -> dict[str, dict[str, Any]]:
    """What is kept; empty where nothing is."""
    with contextlib.suppress(OSError, *WRONG):
        return dict(json_value(content(root, FILE)))
    return {}


_COLUMNS = (  # heading, key of a figure, how it is written
    ("minimum cosine", "min-cosine", ".5f"),
    ("mean cosine", "mean-cosine", ".5f"),
    ("top-10", "top10", ".4f"),
    ("greedy tokens", "tokens", ".4f"),
    ("perplexity", "service", ".4f"),
)


def parity_table(figures: Mapping[str, Mapping[str, Any]], width: int = WIDTH) -> str:
    """A row for each service, with the figures that some of them have."""
    columns = []
    for column in _COLUMNS:
        if any(column[1] in numbers for numbers in figures.values()):
            columns.append(column)
    headings = ("service", "token ids", *(heading for heading, _, _ in columns), "seconds")
    rows = []
    for service, numbers in figures.items():
        ids = f"{numbers['strings'] - len(numbers['different'])} of {numbers['strings']}"
        row = [service, ids]
        for _, key, form in columns:
            cell = format(numbers[key], form) if key in numbers else ""
            if cell and key == "service":
                cell += f" ({numbers['service'] / numbers['reference'] - 1:+.3%})"
            row.append(cell)
        row.append(f"{numbers['seconds']:.1f}")
        rows.append(row)
    return text_table(headings, rows, width=width)
