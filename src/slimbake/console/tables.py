"""Bytes and tables as people read them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

UNMEASURED = "unmeasured"


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
