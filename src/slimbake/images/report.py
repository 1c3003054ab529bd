"""The tables of `slimbake sizes`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from slimbake.console.tables import Layout, readable, text_table
from slimbake.images import views
from slimbake.images.detail import Survey
from slimbake.images.sizes import SizeTable, size_summary, size_table
from slimbake.images.views import Row

VIEWS: dict[str, Callable[[Survey], tuple[Row, ...]]] = {
    "layer": views.by_layer,
    "package": views.by_package,
}


def sizes_text(survey: Survey, by: str, layout: Layout) -> str:
    """What `slimbake sizes` prints."""
    table = text_table(*sizes_table(survey, by), 2, layout)
    return f"{table}\n{size_summary(survey.measurement)}".rstrip("\n")


def sizes_table(survey: Survey, by: str) -> SizeTable:
    """Headings and rows, by image, layer or package."""
    if by == "image":
        return size_table(survey.measurement)
    rows = VIEWS[by](survey)
    headings = (
        by,
        "holds" if by == "layer" else "version",
        "uncompressed",
        *(("on a registry",) if by == "layer" else ()),
        "on a host",
        "files",
        "images",
    )
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
    names = {"layer": _short(row.name), "debian": f"{row.name} (Debian)"}
    return (
        names.get(row.kind, row.name),
        row.what,
        readable(row.uncompressed),
        *((readable(row.on_registry),) if row.kind == "layer" else ()),
        readable(row.on_host),
        f"{row.files:,}",
        "all" if len(row.images) == fleet > 1 else ", ".join(row.images),
    )


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
