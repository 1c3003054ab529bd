"""Shows a running build: a live table of targets on a terminal, plain lines elsewhere. Always on
stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from slimbake.build.events import Change, Vertex

if TYPE_CHECKING:
    from rich.table import Table

_MARKS = {"running": "…", "done": "✓", "cached": "=", "failed": "✗", "cancelled": "-"}
_WORDS = {
    "running": "builds",
    "done": "done",
    "cached": "cached",
    "failed": "failed",
    "cancelled": "cancelled",
}


class Show(Protocol):
    def __call__(self, change: Change) -> None: ...


@contextmanager
def show(targets: tuple[str, ...]) -> Iterator[Show]:
    """A function that takes each change of the build and shows it."""
    if sys.stderr.isatty():
        with _live(targets) as shown:
            yield shown
    else:
        yield plain


def plain(change: Change, whose: str = "") -> None:
    """One line for each step that ends, and what checks say; quiet about what is cached or
    transferred.

    `whose`: what each line begins with, where several builds run at once.
    """
    vertex = change.vertex
    name = whose + (vertex.step.target or "bake")
    if change.line:
        if change.line.startswith(("smoke:", "parity:", "control:")):
            _console.say(f"{name}: {change.line}")
    elif vertex.state == "done" and (
        vertex.step.instruction or (vertex.seconds >= 1 and not vertex.step.target)
    ):
        _console.say(f"{name}: {vertex.step.title} ({vertex.seconds:.1f} s)")
    elif vertex.state == "failed":
        _console.say(f"{name}: {vertex.step.title} failed after {vertex.seconds:.1f} s")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class _Row:
    """What a target does now, and what it has done."""

    def __init__(self) -> None:
        self.vertices: dict[int, Vertex] = {}
        self.line = ""

    @property
    def current(self) -> Vertex | None:
        running = [v for v in self.vertices.values() if v.state == "running"]
        return running[-1] if running else next(reversed(self.vertices.values()), None)

    @property
    def state(self) -> str:
        states = {vertex.state for vertex in self.vertices.values()}
        return next(
            (state for state in ("failed", "running", "cancelled", "done") if state in states),
            "cached",
        )

    @property
    def seconds(self) -> float:
        """Since the first step began, until the last one ended."""
        own = [v for v in self.vertices.values() if v.state != "cached"]
        if not own:
            return 0.0
        ends = [v.started + v.seconds if v.state != "running" else time.time() for v in own]
        return max(0.0, max(ends) - min(v.started for v in own))


@contextmanager
def _live(targets: tuple[str, ...]) -> Iterator[Show]:
    from rich.console import Console
    from rich.live import Live

    rows = {target: _Row() for target in targets}

    def take(change: Change) -> None:
        row = rows.get(change.vertex.step.target)
        if row is not None:
            row.vertices[id(change.vertex)] = change.vertex
            row.line = change.line or row.line

    with Live(
        get_renderable=lambda: _table(rows), console=Console(stderr=True), refresh_per_second=5
    ):
        yield take


def _table(rows: dict[str, _Row]) -> Table:
    from rich.table import Table
    from rich.text import Text

    colours = {"failed": "red", "done": "green", "cached": "dim", "running": "cyan"}
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("target", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("step", ratio=1, no_wrap=True, overflow="ellipsis")
    for name, row in rows.items():
        if not row.vertices:
            table.add_row(Text(name, style="dim"), Text("waits", style="dim"), "", "")
            continue
        vertex = row.current
        running = vertex is not None and vertex.state == "running"
        detail = f"{vertex.step.title}  {row.line}" if vertex and running else row.line
        state = Text(f"{_MARKS[row.state]} {_WORDS[row.state]}", style=colours.get(row.state, ""))
        table.add_row(Text(name), state, f"{row.seconds:.1f} s", Text(detail))
    return table
