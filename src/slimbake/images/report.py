"""The tables of `slimbake sizes`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from slimbake.console.tables import readable, text_table
from slimbake.images import views
from slimbake.images.detail import Survey
from slimbake.images.sizes import SizeTable, short, size_summary, size_table
from slimbake.images.views import Row

VIEWS: dict[str, Callable[[Survey], tuple[Row, ...]]] = {
    "layer": views.by_layer,
    "package": views.by_package,
}


def sizes_text(survey: Survey, by: str, width: int) -> str:
    """What `slimbake sizes` prints."""
    table = text_table(*sizes_table(survey, by), 2, width)
    return f"{table}\n{size_summary(survey.measurement)}".rstrip("\n")


def sizes_table(survey: Survey, by: str) -> SizeTable:
    """Headings and rows, by image, layer or package."""
    if by == "image":
        return size_table(survey.measurement)
    rows = VIEWS[by](survey)
    headings: tuple[str, ...] = ("package", "version", "uncompressed")
    if by == "layer":
        headings = ("layer", "holds", "uncompressed", "on a registry")
    headings += ("on a host", "files", "images")
    return headings, [_row(row, len(survey.measurement.images)) for row in rows]


def sizes_json(survey: Survey) -> dict[str, Any]:
    """Everything, for scripts: bytes; null where unmeasured."""
    sizes = survey.measurement.as_json()
    for image in sizes["images"].values():
        for layer in image["layers"]:
            layer["holds"] = views.described(survey.contents[layer["diff"]])
    for by, view in VIEWS.items():
        sizes[f"{by}s"] = [asdict(row) for row in view(survey)]
    return sizes


def _row(row: Row, fleet: int) -> tuple[str, ...]:
    cells = [row.name, row.what, readable(row.uncompressed)]
    if row.kind == "debian":
        cells[0] += " (Debian)"
    if row.kind == "layer":
        cells[0] = short(row.name)
        cells.append(readable(row.on_registry))
    images = ", ".join(row.images)
    if len(row.images) == fleet > 1:
        images = "all"
    return (*cells, readable(row.on_host), f"{row.files:,}", images)
