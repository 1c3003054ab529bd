"""The report stage: a measurement as a table, Markdown or JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slimbake.images.sizes import Measurement, total

UNMEASURED = "unmeasured"
HEADINGS = (
    "image",
    "digest",
    "uncompressed",
    "compressed",
    "shared with others",
    "own",
    "own on a registry",
)


def megabytes(size: int | None) -> str:
    """Bytes in MB of 1e6 bytes, or the word for what was not measured."""
    return UNMEASURED if size is None else f"{size / 1e6:,.1f} MB"


def readable(size: int | None, signed: bool = False) -> str:
    """Bytes in the largest of B, kB and MB that leaves a digit before the point, or the word for
    unmeasured.
    """
    if size is None:
        return UNMEASURED
    sign = "+" if signed else ""
    if abs(size) < 1000:
        return f"{size:{sign}d} B"
    return f"{size / 1e3:{sign},.1f} kB" if abs(size) < 1_000_000 else f"{size / 1e6:{sign},.1f} MB"


def size_rows(measurement: Measurement) -> list[tuple[str, ...]]:
    """A row per image; shared and own bytes are uncompressed, by chain; those on a registry
    compressed, by blob.
    """
    rows: list[tuple[str, ...]] = []
    for image in measurement.images:
        shared = sum(layer.uncompressed for layer in measurement.shared(image))
        rows.append(
            (
                image.name,
                image.digest.removeprefix("sha256:")[:12],
                megabytes(image.uncompressed),
                megabytes(image.compressed),
                megabytes(shared),
                megabytes(image.uncompressed - shared),
                megabytes(measurement.own_on_registry(image)),
            )
        )
    return rows


def summary(measurement: Measurement) -> str:
    """What the images are together, each layer once."""
    alone = sum(image.uncompressed for image in measurement.images)
    pushed = total(image.compressed for image in measurement.images)
    return (
        f"together: {megabytes(measurement.host)} on a host (each alone: {megabytes(alone)}), "
        f"{megabytes(measurement.registry)} on a registry (each alone: {megabytes(pushed)})"
    )


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """A table in plain text; the first `left` columns are words, the others figures, which stand on
    the right.
    """
    lines = (headings, *rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]

    def cells(line: Sequence[str]) -> Iterator[str]:
        for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
            yield cell.ljust(width) if column < left else cell.rjust(width)

    return "\n".join("  ".join(cells(line)).rstrip() for line in lines)
