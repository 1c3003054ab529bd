"""What a benchmark leaves behind: a Markdown table on stdout, all its numbers as JSON in
bench/results/.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
UNMEASURED = "unmeasured"


def median(values: Iterable[float | None]) -> float | None:
    """The median; None where one of them, or all, are missing."""
    known = list(values)
    return (
        None if not known or None in known else statistics.median(v for v in known if v is not None)
    )


def seconds(value: float | None) -> str:
    """Seconds as a cell of a table."""
    return UNMEASURED if value is None else f"{value:.2f}"


def megabytes(value: float | None) -> str:
    """Bytes, as a cell of a table in MB = 1e6 bytes."""
    return UNMEASURED if value is None else f"{value / 1e6:,.1f}"


def ratio(value: float | None, to: float | None) -> str:
    """How many times `to` a value is."""
    return UNMEASURED if value is None or not to else f"{value / to:.2f}"


def markdown(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns line up in plain text too; the first is a name, the others are numbers."""
    lines = [list(headings), *map(list, rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(headings))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(cells)
        ]
        for cells in (list(zip(line, widths, strict=True)) for line in (lines[0], rule, *lines[1:]))
    ]
    return "\n".join((f"### {title}", "", *(f"| {' | '.join(line)} |" for line in padded), ""))


def machine() -> str:
    """The machine in a line, and how busy it is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GiB, Linux"
        f" {platform.release()}, load {os.getloadavg()[0]:.1f} when done"
    )


def cpu() -> str:
    """The processor, and what it has of the instructions that products of 8-bit integers want."""
    text = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)
    flags = set(re.findall(r"\bavx2\b|\bavx512_vnni\b|\bavx_vnni\b", text))
    return f"{name[1] if name else 'unknown'} ({', '.join(sorted(flags)) or 'no AVX2'})"


def save(name: str, value: dict[str, Any], *, stamped: bool = True) -> Path:
    """Write all numbers of a run: bytes and seconds, null where unmeasured.

    Without a stamp in its name the file replaces the one before: it is what docs/results.md is made
    of.
    """
    now = datetime.datetime.now(datetime.UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / (f"{name}-{now:%Y%m%d-%H%M%S}.json" if stamped else f"{name}.json")
    path.write_text(
        json.dumps({"when": now.isoformat(), "machine": machine(), **value}, indent=1) + "\n"
    )
    return path
