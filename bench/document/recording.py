"""A recording of a bake (asciicast v2) as a drawing that plays by itself. Pure."""

from __future__ import annotations

import json

from . import svg

ROWS = 18  # lines that are seen at once
_LINE, _TOP = 19, 62
_SLOW = 1.0  # seconds of the drawing for which the longest pause counts
_END = 6.0  # seconds for which the last picture stays
_COLUMNS = 118


def drawing(cast: str) -> str:
    """Lines come as they came, pauses shortened; readers who want no motion see the end."""
    head, *events = (json.loads(line) for line in cast.splitlines())
    lines: list[tuple[float, str]] = []
    now = before = 0.0
    for at, _, text in events:
        now += min(at - before, _SLOW)
        before = at
        lines += [(now, each) for each in text.splitlines()]
    whole = now + _END
    rules = ["@media (prefers-reduced-motion: no-preference) {"]
    body = [
        svg.words(20, 36, f"$ {head['title']}", "mono", "strong"),
        f'<svg x="0" y="{_TOP - 16}" width="{svg.WIDTH}" height="{ROWS * _LINE + 6}">',
        '<g class="all">',
    ]
    steps = [(0.0, 0)]
    for number, (at, text) in enumerate(lines):
        shown = text if len(text) <= _COLUMNS else text[: _COLUMNS - 3] + "..."
        line = svg.words(20, 16 + number * _LINE, shown, "mono")
        if number < ROWS:  # later ones come from below the edge
            line = f'<g class="l{number}">{line}</g>'
            rules.append(f"  .l{number} {{ animation: l{number} {whole:.2f}s step-end infinite }}")
            rules.append(
                f"  @keyframes l{number} {{ 0% {{ visibility: hidden }}"
                f" {max(0.01, at / whole * 100):.3f}%, 100% {{ visibility: visible }} }}"
            )
        else:
            steps.append((at, number + 1 - ROWS))
        body.append(line)
    last = max(0, len(lines) - ROWS)
    body += ["</g>", "</svg>"]
    frames = " ".join(
        f"{at / whole:.3%} {{ transform: translateY({-up * _LINE}px) }}" for at, up in steps
    )
    rules.append(f"  .all {{ animation: up {whole:.2f}s step-end infinite }}")
    rules.append(
        f"  @keyframes up {{ {frames} 100% {{ transform: translateY({-last * _LINE}px) }} }}"
    )
    rules.append("}")
    style = (
        f".all {{ transform: translateY({-last * _LINE}px) }}\n"
        "text { white-space: pre }\n.mono { font-size: 11.5px }\n" + "\n".join(rules) + "\n"
    )
    height = _TOP + ROWS * _LINE + 28
    took = f"Recorded: {head['duration']:.0f} s on 2 cores; pauses are shortened here."
    body.append(svg.words(20, height - 16, took, "small"))
    return svg.page(height, f"A recording of {head['title']}", body, style)
