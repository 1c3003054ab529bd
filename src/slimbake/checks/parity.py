"""What was measured of parity: read from where bakes leave it, and kept as evidence."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slimbake.config.naming import EVIDENCE
from slimbake.console.tables import FOLDED, Layout, text_table
from slimbake.host.files import write_atomically
from slimbake.host.workspace import Workspace

FILE = f"{EVIDENCE}/parity.json"
FIGURES = "parity"  # in the workspace: what bakes measured, in a folder for each service
_LOCAL = ("seconds", "limits", "holds")  # of one machine, or of the manifest


def measured_parity(workspace: Workspace, services: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The figures of these services as they were last measured here; of several platforms, the
    first by name.
    """
    found = {}
    for service in services:
        for path in sorted(workspace.path(f"{FIGURES}/{service}").rglob("parity.json"))[:1]:
            with contextlib.suppress(OSError, ValueError):
                found[service] = dict(json.loads(path.read_text("utf-8")))
    return found


def write_parity(figures: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """Keep figures in the repository, beside those of other services."""
    known = read_parity(root)
    for service, each in figures.items():
        known[service] = {key: value for key, value in each.items() if key not in _LOCAL}
    write_atomically(root / FILE, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())


def read_parity(root: Path) -> dict[str, dict[str, Any]]:
    """What is kept; empty where nothing is."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((root / FILE).read_text("utf-8")))
    return {}


HEADINGS = (
    "service",
    "token ids",
    "minimum cosine",
    "mean cosine",
    "top-10",
    "greedy tokens",
    "perplexity",
    "seconds",
)


def parity_table(figures: Mapping[str, Mapping[str, Any]], layout: Layout = FOLDED) -> str:
    """A row for each service; what says nothing of its task is left empty."""
    rows = [_row(service, each) for service, each in figures.items()]
    return text_table(HEADINGS, rows, layout=layout)


def _row(service: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    ids = f"{found['strings'] - len(found['different'])} of {found['strings']}"
    seconds = f"{found['seconds']:.1f}"
    if found["task"] == "embedding":
        cosines = (
            f"{found['min-cosine']:.5f}",
            f"{found['mean-cosine']:.5f}",
            f"{found['top10']:.4f}",
        )
        return (service, ids, *cosines, "", "", seconds)
    change = found["service"] / found["reference"] - 1
    return (
        service,
        ids,
        "",
        "",
        "",
        f"{found['tokens']:.4f}",
        f"{found['service']:.4f} ({change:+.3%})",
        seconds,
    )
