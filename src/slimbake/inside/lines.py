"""The lines of texts whose ends others may have chosen, such as locks and RECORDs; and lists in words."""

from __future__ import annotations

from collections.abc import Sequence


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their ends. Only LF ends one: `str.splitlines` has ten more ends,
    and what is a comment for it may go on as a requirement for uv and pip.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def some(items: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of these, and how many there are beside them."""
    text = between.join(items[:most])
    if len(items) > most:
        text += f" and {len(items) - most:,} more"
    return text
