"""Figures as cells of tables; what was not measured says so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slimbake.console.tables import UNMEASURED, readable

NONE = "-"  # nothing is claimed of it
WIDEST = 120  # letters of a cell


def mb(value: float | None) -> str:
    """Bytes in MB = 1e6 bytes."""
    return UNMEASURED if value is None else f"{value / 1e6:,.1f}"


def small(value: int | None) -> str:
    """Bytes in the unit that fits."""
    return readable(value)


def seconds(value: float | None) -> str:
    return UNMEASURED if value is None else f"{value:.2f}"


def ratio(value: float | None, to: float | None) -> str:
    """How many times `to` a value is."""
    return UNMEASURED if value is None or not to else f"{value / to:.2f}"


def share(value: float | None) -> str:
    """A part of a whole."""
    return UNMEASURED if value is None else f"{value:.1%}"


def less(value: float | None, than: float | None) -> str:
    """By how much a value is smaller than another; negative where it is larger."""
    return share(None if value is None or not than else 1 - value / than)


def difference(value: float | None, less: float | None) -> float | None:
    return None if value is None or less is None else value - less


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; a cell that is too long ends in dots, after a whole part of it."""
    lines = [list(headings), ["---"] * len(headings), *map(list, rows)]
    return "\n".join(
        "| " + " | ".join(_cut(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _cut(cell: str) -> str:
    if len(cell) <= WIDEST:
        return cell
    part = cell[: WIDEST - 4]
    part = part[: part.rfind("; ") + 2] or part
    if part.rfind("[") > part.rfind(")"):  # not within a link
        part = part[: part.rfind("[")]
    return f"{part}...{'`' * (part.count('`') % 2)}"
