"""A recording of a bake (asciicast v2) as a drawing that plays by itself. Pure."""

from __future__ import annotations

import json

from . import svg
from .terminal import Screen

ROWS = 22  # lines that are seen at once
_LINE, _TOP = 18, 62
_LETTER = 7.2  # pixels of a letter
_SPEED = 4.0  # times as fast as it was
_EVERY = 1.5  # seconds of the bake between two pictures
_END = 6.0  # seconds for which the last picture stays

Frame = tuple[float, tuple[str, ...]]


def frames(cast: str) -> list[Frame]:
    """Moments of a recording: its second, and the lines of the terminal."""
    _, *events = (json.loads(line) for line in cast.splitlines())
    screen, found = Screen(), list[Frame]([(0.0, ())])
    for at, _, text in events:
        if at - found[-1][0] >= _EVERY and (shown := screen.shown()) != found[-1][1]:
            found.append((at, shown))
        screen.feed(text)
    return [*found, (max(events[-1][0], found[-1][0] + _EVERY), screen.shown())]


def drawing(cast: str) -> str:
    """Its moments, one after the other; readers who want no motion see the last one."""
    head, made = json.loads(cast.partition("\n")[0]), frames(cast)
    whole = made[-1][0] / _SPEED + _END
    rules = ["@media (prefers-reduced-motion: no-preference) {"]
    body = [svg.words(20, 36, f"$ {head['title']}", "mono", "strong")]
    for number, (at, lines) in enumerate(made):
        last = number == len(made) - 1
        until = whole if last else made[number + 1][0] / _SPEED
        texts = (
            svg.columns(20, _TOP + 8 + row * _LINE, line, _LETTER)
            for row, line in enumerate(lines[-ROWS:])
            if line
        )
        body.append(f'<g class="f{number}{"" if last else " moment"}">{"".join(texts)}</g>')
        begins, ends = at / _SPEED / whole, until / whole
        rules.append(f"  .f{number} {{ animation: f{number} {whole:.2f}s step-end infinite }}")
        rules.append(
            f"  @keyframes f{number} {{ 0% {{ visibility: {'hidden' if at else 'visible'} }}"
            f" {begins:.3%} {{ visibility: visible }}"
            f" {ends:.3%}, 100% {{ visibility: {'visible' if last else 'hidden'} }} }}"
        )
    rules.append("}")
    style = ".moment { visibility: hidden }\n.mono { font-size: 12px }\n" + "\n".join(rules) + "\n"
    height = _TOP + ROWS * _LINE + 28
    took = f"Recorded: {head['duration']:.0f} s on 2 cores, {_SPEED:.0f} times as fast here."
    body.append(svg.words(20, height - 16, took, "small"))
    return svg.page(height, f"A recording of {head['title']}", body, style)
