"""The lines of texts whose ends others may have chosen: locks, RECORDs, `.dockerignore`."""

from __future__ import annotations


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their ends. Only LF ends one: `str.splitlines` has ten more ends,
    and what is a comment for it may go on as a requirement for uv and pip.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines
