"""The tables of `slimbake sizes`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from slimbake.console.tables import Layout, readable, text_table
from slimbake.images import views
from slimbake.images.detail import Survey
from slimbake.images.sizes import SizeTable, size_summary, size_table
from slimbake.images.views import Duplicate, Findings, Row, findings

VIEWS: dict[str, Callable[[Survey], tuple[Row, ...]]] = {
    "layer": views.by_layer,
    "package": views.by_package,
    "directory": views.by_directory,
}
_NOUNS = {"layer": "layers", "package": "packages", "directory": "directories"}
_SHOWN = 10  # duplicates in a text; JSON has all


def sizes_text(survey: Survey, by: str, layout: Layout) -> str:
    """What `slimbake sizes` prints: the table, and what is found besides."""
    lines = [*size_summary(survey.measurement).splitlines(), *finding_lines(findings(survey))]
    return "\n".join((text_table(*sizes_table(survey, by), 2, layout), *lines))


def sizes_table(survey: Survey, by: str) -> SizeTable:
    """Headings and rows, by image, layer, package or directory."""
    if by == "image":
        return size_table(survey.measurement)
    rows = VIEWS[by](survey)
    headings = (
        by,
        {"layer": "holds", "package": "version", "directory": ""}[by],
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
        sizes[_NOUNS[by]] = [asdict(row) for row in view(survey)]
    return {**sizes, "findings": findings(survey).as_json()}


def finding_lines(findings: Findings) -> list[str]:
    """What is wasted, a line for each. What has a reason is in the JSON alone."""
    lines = []
    if findings.whiteouts:
        lines.append(
            f"deleted in a later layer, but still carried: {len(findings.whiteouts)} files"
        )
        lines += [
            f"  {copy.path} in layer {_short(copy.layer)} ({', '.join(copy.images)})"
            for copy in findings.whiteouts
        ]
    lines += _duplicates([duplicate for duplicate in findings.duplicates if not duplicate.reason])
    return lines


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


def _duplicates(duplicates: list[Duplicate]) -> list[str]:
    if not duplicates:
        return []
    waste = sum(duplicate.waste for duplicate in duplicates)
    lines = [f"in two layers: {len(duplicates)} files over 4 kB, {readable(waste)} of copies"]
    for duplicate in duplicates[:_SHOWN]:
        places = {copy.layer: copy for copy in duplicate.copies}.values()
        where = ", ".join(
            f"layer {_short(copy.layer)} ({' '.join(copy.images)})" for copy in places
        )
        lines.append(f"  {duplicate.copies[0].path} {readable(duplicate.uncompressed)}: {where}")
    if len(duplicates) > _SHOWN:
        lines.append(f"  and {len(duplicates) - _SHOWN} more (`--json` has all)")
    return lines


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
