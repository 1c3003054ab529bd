"""Drawings as SVG that can be read on light and on dark pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 520  # what a phone shrinks to letters that can still be read
_LABEL, _VALUE = 228, 104  # pixels left of a bar, and right of the longest one
_STYLE = """\
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  font-size: 14px; fill: #1f2937 }
.title { font-size: 17px; font-weight: 600 }
.strong { font-weight: 600 }
.small { font-size: 12.5px; fill: #4b5563 }
.end { text-anchor: end }
.middle { text-anchor: middle }
.page { fill: #ffffff; stroke: #d1d5db }
.ours { fill: #2563eb }
.onnx { fill: #0d9488 }
.other { fill: #94a3b8 }
.claim { fill: #e2e8f0; stroke: #64748b; stroke-dasharray: 4 3 }
.box1 { fill: #dbeafe; stroke: #2563eb }
.box2 { fill: #ccfbf1; stroke: #0d9488 }
.box3 { fill: #fef3c7; stroke: #d97706 }
.box4 { fill: #f1f5f9; stroke: #64748b }
@media (prefers-color-scheme: dark) {
  text { fill: #e5e7eb }
  .small { fill: #9ca3af }
  .page { fill: #0d1117; stroke: #374151 }
  .ours { fill: #60a5fa }
  .onnx { fill: #2dd4bf }
  .other { fill: #64748b }
  .claim { fill: #1f2937; stroke: #94a3b8 }
  .box1 { fill: #172554; stroke: #60a5fa }
  .box2 { fill: #134e4a; stroke: #2dd4bf }
  .box3 { fill: #451a03; stroke: #f59e0b }
  .box4 { fill: #1f2937; stroke: #94a3b8 }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; without a value, its row says that it is unmeasured."""

    label: str
    value: float | None
    kind: str = "other"  # a class of the style sheet: ours, onnx, other, claim


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars on one scale, in groups: a heading, and the bars below it."""

    title: str
    unit: str
    groups: Sequence[tuple[str, Sequence[Bar]]]
    digits: int = 0


def page(height: float, name: str, body: Iterable[str]) -> str:
    """A whole file. `name` is for readers who do not see it."""
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}"'
            f' width="{WIDTH}" height="{height:g}" role="img" aria-label="{escape(name)}">',
            f"<title>{escape(name)}</title>",
            f"<style>\n{_STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:g}"'
            ' rx="8"/>',
            *body,
            "</svg>\n",
        )
    )


def words(x: float, y: float, text: str, *kinds: str) -> str:
    """A line of text."""
    given = f' class="{" ".join(kinds)}"' if kinds else ""
    return f'<text x="{x:g}" y="{y:g}"{given}>{escape(text, quote=False)}</text>'


def box(place: tuple[float, float, float, float], kind: str) -> str:
    """A rectangle: left, top, width, height."""
    x, y, width, height = place
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{max(width, 1):.5g}" height="{height:g}" rx="4"'
        f' class="{kind}"/>'
    )


def chart(name: str, panels: Iterable[Panel], *notes: str) -> str:
    """Panels of horizontal bars, one below the other, and lines that say where they come from."""
    y, body = 14.0, []
    for panel in panels:
        y += 24
        body.append(words(20, y, panel.title, "title"))
        most = max((bar.value or 0 for _, bars in panel.groups for bar in bars), default=0) or 1
        for heading, bars in panel.groups:
            if heading:
                y += 26
                body.append(words(20, y, heading, "strong"))
            y += 6
            for bar in bars:
                long = (bar.value or 0) / most * (WIDTH - _LABEL - _VALUE)
                shown = (
                    "unmeasured"
                    if bar.value is None
                    else f"{bar.value:,.{panel.digits}f} {panel.unit}"
                )
                body.append(words(_LABEL - 12, y + 17, bar.label, "end"))
                if bar.value is not None:
                    body.append(box((_LABEL, y + 4, long, 17), bar.kind))
                body.append(words(_LABEL + long + 8, y + 17, shown))
                y += 24
        y += 10
    for note in notes:
        y += 18
        body.append(words(20, y, note, "small"))
    return page(y + 16, name, body)
