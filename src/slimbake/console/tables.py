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


WIDTH = 80
_WORD, _FIGURE, _FIRST = 20, 24, 40  # letters that stay together
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

    found = []
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
        found += wrapper.wrap(text) if len(line) > width else [line]
    return "\n".join(found)


def text_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 2,
    layout: Layout = FOLDED,
) -> str:
    """A table; the first `left` columns are words, and so are others without a figure in them.
    Figures stand on the right.

    One that is too wide folds: first headings and words wrap in their columns, then columns that
    have no room stand in a table below, which repeats the first column.
    """
    columns = tuple(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    words = [at < left or not any(map(_figure, cells)) for at, (_, *cells) in enumerate(columns)]
    if layout.width and _total(widths) > layout.width:
        least = [_least(at, *column) for at, column in enumerate(zip(words, columns, strict=True))]
        if _total(least) > layout.width and len(headings) > 2:
            return _in_parts(headings, rows, left, layout, least)
        widths = _shrunk(widths, least, layout.width)
    return "\n".join(text for line in (headings, *rows) for text in _lines(line, widths, words))


def _figure(cell: str) -> bool:
    return cell == UNMEASURED or cell.lstrip("+-")[:1].isdigit()


def _least(at: int, words: bool, column: Sequence[str]) -> int:
    """What a column can be folded to. The first column and figures stay whole, and so do words
    of others, where that takes no more than some letters.
    """
    word = max((len(word) for text in column for word in text.split()), default=0)
    cell = max(map(len, column[1:]), default=0)
    whole = min(cell, _FIRST if at == 0 else _FIGURE) if not (at and words) else 0
    return max(min(word, _WORD), whole)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _shrunk(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths when the widest column that can be narrower gives way, again and again."""
    found = list(widths)
    while _total(found) > room:
        able = [column for column, width in enumerate(found) if width > least[column]]
        if not able:
            break
        found[max(able, key=found.__getitem__)] -= 1
    return found


def _in_parts(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int,
    layout: Layout,
    least: Sequence[int],
) -> str:
    """As many columns as have room, and the others in a table below."""
    taken = 2
    while _total(least[: taken + 1]) <= layout.width:
        taken += 1

    def part(columns: Sequence[int]) -> str:
        words = sum(column < left for column in columns)
        picked = [[line[column] for column in columns] for line in (headings, *rows)]
        return text_table(picked[0], picked[1:], words, layout)

    return f"{part(range(taken))}\n\n{part((0, *range(taken, len(headings))))}"


def _lines(line: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> Iterator[str]:
    """A row of the table, in as many lines as its tallest cell has."""
    cells = [_wrapped(cell, width) for cell, width in zip(line, widths, strict=True)]
    for texts in zip_longest(*cells, fillvalue=""):
        yield (
            (" " * _GAP)
            .join(
                text.ljust(width) if word else text.rjust(width)
                for text, width, word in zip(texts, widths, words, strict=True)
            )
            .rstrip()
        )


# Where a cell may be broken, the best places first: between words, after a slash, between the parts
# of a name, anywhere.
_BREAKS = (r"(?<=\s)(?=\S)", r"(?<=/)(?=[^/])", r"(?<=\w[-_.:=@,])(?=\w)", r"(?<=\S)(?=\S)")


def _wrapped(cell: str, width: int) -> list[str]:
    """The lines of a cell, each with the indentation of the cell."""
    if len(cell) <= width:
        return [cell]
    text = cell.lstrip()
    indent = " " * min(len(cell) - len(text), width // 2)
    broken = _broken(text, width - len(indent), _BREAKS)
    return [f"{indent}{line}".rstrip() for line in broken if line]


def _broken(text: str, width: int, breaks: Sequence[str]) -> list[str]:
    """Lines, broken at the first of these places; where that does not do, at the next."""
    import re

    lines = [""]
    for piece in re.split(breaks[0], text):
        if len(lines[-1] + piece.rstrip()) <= width:
            lines[-1] += piece
        elif len(piece.rstrip()) <= width:
            lines.append(piece)
        else:
            lines += _broken(piece, width, breaks[1:])
    return lines
