"""Bytes and tables as people read them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

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


def some(names: Sequence[str], most: int) -> str:
    """The first of these, and how many there are beside them."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, noun: str) -> str:
    """A number of things: `1 file`, `2 files`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


WIDTH = 80
_WORD = 12  # letters to which a column of words may shrink
_GAP = 2


@dataclass(frozen=True, slots=True)
class Layout:
    """How tables are printed."""

    width: int = WIDTH  # of a line; 0: as wide as the table is


FOLDED = Layout()


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def folded(text: str, width: int) -> str:
    """Lines that are no longer than `width`, 0 for any: longer ones go on below, further to the
    right, after a word.
    """
    if not width or all(len(line) <= width for line in text.split("\n")):
        return text
    from textwrap import TextWrapper

    lines = []
    for line in text.split("\n"):
        text = line.lstrip()
        indent = " " * (len(line) - len(text))
        wrapper = TextWrapper(
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += wrapper.wrap(text) if len(line) > width else [line]
    return "\n".join(lines)


def text_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 2,
    layout: Layout = FOLDED,
) -> str:
    """A table; the first `left` columns are words, and so are others without a figure in them.
    Figures stand on the right. In one that is too wide, headings and words wrap in their columns.
    """
    columns = tuple(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    textual = [at < left or not any(map(_figure, cells)) for at, (_, *cells) in enumerate(columns)]
    least = [
        min(width, _WORD if word else max(map(len, cells), default=0))
        for width, word, (_, *cells) in zip(widths, textual, columns, strict=True)
    ]
    while layout.width and sum(widths) + _GAP * (len(widths) - 1) > layout.width:
        able = [column for column, width in enumerate(widths) if width > least[column]]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
    return "\n".join(text for line in (headings, *rows) for text in _lines(line, widths, textual))


def _figure(cell: str) -> bool:
    return cell == UNMEASURED or cell.lstrip("+-")[:1].isdigit()


def _lines(line: Sequence[str], widths: Sequence[int], textual: Sequence[bool]) -> Iterator[str]:
    """A row of the table, in as many lines as its tallest cell has."""
    cells = [_wrapped(cell, width) for cell, width in zip(line, widths, strict=True)]
    for texts in zip_longest(*cells, fillvalue=""):
        parts = zip(texts, widths, textual, strict=True)
        yield (
            (" " * _GAP)
            .join(
                text.ljust(width) if is_text else text.rjust(width)
                for text, width, is_text in parts
            )
            .rstrip()
        )


def _wrapped(cell: str, width: int) -> list[str]:
    """The lines of a cell, each with the indentation of the cell."""
    if len(cell) <= width:
        return [cell]
    import textwrap

    text = cell.lstrip()
    indent = " " * min(len(cell) - len(text), width // 2)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
