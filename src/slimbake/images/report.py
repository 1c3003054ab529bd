"""The tables of `slimbake sizes`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from slimbake.console.tables import (
    Layout,
    megabytes,
    readable,
    text_table,
)
from slimbake.errors import UsageError
from slimbake.images import views
from slimbake.images.detail import Survey
from slimbake.images.sizes import size_summary, size_table
from slimbake.images.views import Duplicate, Findings, Row, findings

Table = tuple[Sequence[str], list[tuple[str, ...]]]
VIEWS: dict[str, Callable[[Survey], tuple[Row, ...]]] = {
    "layer": views.by_layer,
    "package": views.by_package,
    "directory": views.by_directory,
}
_NOUNS = {"layer": "layers", "package": "packages", "directory": "directories"}
_SHOWN = 10  # duplicates in a text; JSON has all


def sizes_text(survey: Survey, by: str, changes: Changes | None, layout: Layout) -> str:
    """What `slimbake sizes` prints: the table, what is found besides, and what has changed."""
    blocks = [text_table(*sizes_table(survey, by), 2, layout)]
    lines = [*size_summary(survey.measurement).splitlines(), *finding_lines(findings(survey))]
    blocks.append("\n".join(lines))
    if changes:
        blocks += [text_table(*change_table(changes), 2, layout), change_summary(changes)]
    return ("\n\n" if changes else "\n").join(blocks)


def sizes_table(survey: Survey, by: str) -> Table:
    """Headings and rows, by image, layer, package or directory; gzip and zstd where they were
    measured.
    """
    measured = any(found.gzip is not None for found in survey.contents.values())
    if by == "image":
        headings, rows = size_table(survey.measurement)
        if not measured:
            return headings, rows
        more = [views.compressed_view(survey, image) for image in survey.measurement.images]
        return (*headings, "gzip", "zstd"), [
            (*row, megabytes(gzip), megabytes(zstd))
            for row, (gzip, zstd) in zip(rows, more, strict=True)
        ]
    words = (
        ("layer", "holds") if by == "layer" else (by, "version") if by == "package" else (by, "")
    )
    seen = VIEWS[by](survey)
    pushed = any(row.on_registry is not None for row in seen)
    headings = (
        *words,
        "uncompressed",
        *(("gzip", "zstd") if measured else ()),
        *(("on a registry",) if pushed else ()),
        "on a host",
        "files",
        "images",
    )
    every = len(survey.measurement.images)
    return headings, [_row(row, measured, pushed, every) for row in seen]


def sizes_json(survey: Survey) -> dict[str, Any]:
    """Everything, for scripts: bytes; null where unmeasured."""
    made = survey.measurement.as_json()
    for image in survey.measurement.images:
        entry = made["images"][image.name]
        entry["gzip"], entry["zstd"] = views.compressed_view(survey, image)
        for layer in entry["layers"]:
            found = survey.contents[layer["diff"]]
            layer.update(gzip=found.gzip, zstd=found.zstd, holds=views.described(found))
    for by, view in VIEWS.items():
        made[_NOUNS[by]] = [asdict(row) for row in view(survey)]
    return {**made, "findings": findings(survey).as_json()}


def finding_lines(found: Findings) -> list[str]:
    """What is wasted, a line for each. What has a reason is in the JSON alone."""
    lines = []
    if found.whiteouts:
        lines.append(f"deleted in a later layer, but still carried: {len(found.whiteouts)} files")
        lines += [
            f"  {copy.path} in {_layer(copy.layer)} ({', '.join(copy.images)})"
            for copy in found.whiteouts
        ]
    lines += _duplicates([each for each in found.duplicates if not each.reason])
    return lines


def change_table(changes: Changes) -> Table:
    """A row for each image, and below it one for each of its layers that changed."""
    entries = (*changes.images, *changes.layers)
    known = {
        kind
        for each in entries
        for kind, change in each.figures
        if change != SizeChange(None, None)
    }
    kinds = [kind for kind in COUNTED if kind in known]
    headings = ("image", "layer", *(word for kind in kinds for word in (kind, "change")))
    rows = []
    for image in changes.images:
        for each in (image, *(layer for layer in changes.layers if layer.name == image.name)):
            of = dict(each.figures)
            cells = [
                cell
                for kind in kinds
                for cell in _change(of.get(kind, SizeChange(None, None)), each.only)
            ]
            layer = (
                "" if each.layer is None else " -> ".join(_short(digest) for digest in each.layer)
            )
            rows.append((each.name if each is image else "", layer, *cells))
    return headings, rows


def change_summary(changes: Changes) -> str:
    """The change of what the images are together."""
    words = {"unique_on_registry": "on a registry", "unique_on_host": "on a host"}
    return "together: " + ", ".join(
        f"{' ('.join(_change(each))}) {words[name]}" for name, each in changes.together
    )


def _row(row: Row, measured: bool, pushed: bool, fleet: int) -> tuple[str, ...]:
    name = (
        _short(row.name)
        if row.kind == "layer"
        else row.name
        if row.kind != "debian"
        else f"{row.name} (Debian)"
    )
    images = "all" if len(row.images) == fleet > 1 else ", ".join(row.images)
    compressed = (readable(row.gzip), readable(row.zstd)) if measured else ()
    sizes = (
        readable(row.uncompressed),
        *compressed,
        *((readable(row.on_registry),) if pushed else ()),
        readable(row.on_host),
    )
    return (name, row.what, *sizes, f"{row.files:,}", images)


def _duplicates(found: list[Duplicate]) -> list[str]:
    if not found:
        return []
    waste = sum(each.waste for each in found)
    lines = [f"in two layers: {len(found)} files over 4 kB, {readable(waste)} of copies"]
    for each in found[:_SHOWN]:
        places = {copy.layer: copy for copy in each.copies}.values()
        where = ", ".join(f"{_layer(copy.layer)} ({' '.join(copy.images)})" for copy in places)
        lines.append(f"  {each.copies[0].path} {readable(each.uncompressed)}: {where}")
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more (`--json` has all)")
    return lines


def _change(change: SizeChange, only: str = "") -> tuple[str, str]:
    if only:
        return (
            "gone" if only == "before" else readable(change.after)
        ), "new" if only == "after" else ""
    return readable(change.after), "same" if change.bytes == 0 else readable(
        change.bytes, signed=True
    )


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest.removeprefix("sha256:")[:12]


def _layer(digest: str) -> str:
    return f"layer {_short(digest)}"


Figures = Mapping[str, Any]
COUNTED = ("uncompressed", "compressed", "gzip", "zstd")


@dataclass(frozen=True, slots=True)
class SizeChange:
    """A figure before and after, in bytes; None where it was not measured, or where there is no
    such image or layer.
    """

    before: int | None
    after: int | None

    @property
    def bytes(self) -> int | None:
        return None if self.before is None or self.after is None else self.after - self.before

    def as_json(self) -> dict[str, int | None]:
        return {"before": self.before, "after": self.after, "change": self.bytes}


@dataclass(frozen=True, slots=True)
class Changed:
    """An image, or a layer of one, whose figures are compared."""

    name: str  # of the image
    only: str  # "before" or "after"; "" = in both
    # digests of its tar before and after; None: the image as a whole
    layer: tuple[str | None, str | None] | None
    figures: tuple[tuple[str, SizeChange], ...]

    def as_json(self) -> dict[str, Any]:
        place = {} if self.layer is None else {"before": self.layer[0], "after": self.layer[1]}
        return {
            "only": self.only,
            **place,
            **{name: change.as_json() for name, change in self.figures},
        }


@dataclass(frozen=True, slots=True)
class Changes:
    images: tuple[Changed, ...]
    layers: tuple[Changed, ...]  # of images that are in both, those that are not the same
    together: tuple[tuple[str, SizeChange], ...]  # unique_on_registry, unique_on_host

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes before and after; null where unmeasured."""
        return {
            "images": {
                image.name: {
                    **image.as_json(),
                    "layers": [
                        layer.as_json() for layer in self.layers if layer.name == image.name
                    ],
                }
                for image in self.images
            },
            **{name: change.as_json() for name, change in self.together},
        }


def changes(before: Any, after: Any, file: str) -> Changes:
    """Compare two measurements as `slimbake sizes --json` prints them.

    Layers are distinguished by the digests of their tars; where some differ at one place, they are
    paired in their order. Raises UsageError where `before`, read from `file`, is no such
    measurement.
    """
    try:
        return _changes(before, after)
    except (KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{file} is no measurement", "`slimbake sizes --json` prints one"
        ) from None


def _changes(before: Any, after: Any) -> Changes:
    names = list(dict.fromkeys((*before["images"], *after["images"])))
    images, layers = [], []
    for name in names:
        old, new = before["images"].get(name), after["images"].get(name)
        images.append(Changed(name, _only(old, new), None, _figures(old, new)))
        if old is None or new is None:  # all of its layers are new, or gone: nothing to compare
            continue
        for one, other in _pairs(old["layers"], new["layers"]):
            digests = (one["diff"] if one else None, other["diff"] if other else None)
            layers.append(Changed(name, _only(one, other), digests, _figures(one, other)))
    keys = ("unique_on_registry", "unique_on_host")
    return Changes(
        tuple(images),
        tuple(layers),
        tuple((key, SizeChange(before[key], after[key])) for key in keys),
    )


def _only(before: object, after: object) -> str:
    return "after" if before is None else "before" if after is None else ""


def _figures(before: Figures | None, after: Figures | None) -> tuple[tuple[str, SizeChange], ...]:
    old, new = before or {}, after or {}
    return tuple(
        (key, SizeChange(old.get(key), new.get(key))) for key in COUNTED if key in old or key in new
    )


def _pairs(
    before: list[Figures], after: list[Figures]
) -> list[tuple[Figures | None, Figures | None]]:
    found: list[tuple[Figures | None, Figures | None]] = []
    matcher = SequenceMatcher(
        None, [each["diff"] for each in before], [each["diff"] for each in after], autojunk=False
    )
    for kind, low, high, start, end in matcher.get_opcodes():
        if kind == "equal":
            continue
        old, new = before[low:high], after[start:end]
        found += zip_longest(old, new)
    return found
