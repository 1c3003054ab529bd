"""Bytes and tables as people read them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

UNMEASURED = "unmeasured"


def megabytes(size: int | None) -> str:
    """Bytes in MB of 1e6 bytes, or the word for what was not measured."""
    if size is None:
        return UNMEASURED
    return f"{size / 1e6:,.1f} MB"


def readable(size: int | None, signed: bool = False) -> str:
    """Bytes in the largest of B, kB and MB that leaves a digit before the point, or the word for
    unmeasured.
    """
    if size is None:
        return UNMEASURED
    sign = "+" if signed else ""
    if abs(size) < 1000:
        return f"{size:{sign}d} B"
    if abs(size) < 1_000_000:
        return f"{size / 1e3:{sign},.1f} kB"
    return f"{size / 1e6:{sign},.1f} MB"


def counted(count: int, noun: str) -> str:
    """A number of things: `1 file`, `2 files`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


WIDTH = 80
_WORD = 12  # letters to which a column of words may shrink
_GAP = "  "


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = []
    for cells in (headings, ["---"] * len(headings), *rows):
        texts = [cell.replace("|", "\\|") for cell in cells]
        lines.append(f"| {' | '.join(texts)} |")
    return "\n".join(lines)


def folded(text: str, width: int) -> str:
    """Lines that are no longer than `width`, 0 for any: longer ones go on below, further to the
    right, after a word.
    """
    lines = text.split("\n")
    if not width or max(map(len, lines)) <= width:
        return text
    from textwrap import TextWrapper

    folded_lines = []
    for line in lines:
        if len(line) <= width:
            folded_lines.append(line)
            continue
        words = line.lstrip()
        indent = " " * (len(line) - len(words))
        wrapper = TextWrapper(
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        folded_lines += wrapper.wrap(words)
    return "\n".join(folded_lines)


def text_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 2,
    width: int = WIDTH,
) -> str:
    """A table; the first `left` columns are words, and so are others without a figure in them.

    Figures are on the right. In a table that is wider than `width`, headings and words wrap in
    their columns. With a `width` of 0, nothing wraps.
    """
    widths = []
    least_widths = []
    textual = []
    for place, (heading, *cells) in enumerate(zip(headings, *rows, strict=True)):
        longest = max(map(len, cells), default=0)
        words = place < left or not any(map(_is_figure, cells))
        widths.append(max(longest, len(heading)))
        least_widths.append(_WORD if words else longest)
        textual.append(words)
    while width and len(_GAP.join("x" * column for column in widths)) > width:
        shrinking = [i for i, column in enumerate(widths) if column > least_widths[i]]
        if not shrinking:
            break
        widths[max(shrinking, key=widths.__getitem__)] -= 1
    lines: list[str] = []
    for row in (headings, *rows):
        lines += _lines(row, widths, textual)
    return "\n".join(lines)


def _is_figure(cell: str) -> bool:
    return cell == UNMEASURED or cell.lstrip("+-")[:1].isdigit()


def _lines(row: Sequence[str], widths: Sequence[int], textual: Sequence[bool]) -> Iterator[str]:
    """A row of the table, in as many lines as its tallest cell has."""
    columns = []
    for cell, width, words in zip(row, widths, textual, strict=True):
        side = "<" if words else ">"
        columns.append([f"{text:{side}{width}}" for text in _wrapped(cell, width)])
    height = max(map(len, columns))
    for column, width in zip(columns, widths, strict=True):
        column += [" " * width] * (height - len(column))
    for texts in zip(*columns, strict=True):
        yield _GAP.join(texts).rstrip()


def _wrapped(cell: str, width: int) -> list[str]:
    """The lines of a cell, each with the indentation of the cell."""
    if len(cell) <= width:
        return [cell]
    import textwrap

    text = cell.lstrip()
    indent = " " * min(len(cell) - len(text), width // 2)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
