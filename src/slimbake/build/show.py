"""Shows a running build: a live table of targets on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimbake.build.events import Vertex, VertexChange
from slimbake.console import Console

if TYPE_CHECKING:
    from rich.table import Table

_STATES = {  # of a target: its mark, word and colour
    "running": ("…", "builds", "cyan"),
    "done": ("✓", "done", "green"),
    "cached": ("=", "cached", "dim"),
    "failed": ("✗", "failed", "red"),
    "cancelled": ("-", "cancelled", ""),
}


@contextmanager
def show(targets: tuple[str, ...], console: Console) -> Iterator[Callable[[VertexChange], None]]:
    """A function that takes each change of the build and shows it."""
    rows = {target: _Row() for target in targets}

    def take(change: VertexChange) -> None:
        row = rows.get(change.vertex.step.target)
        if row is not None:
            row.vertices[id(change.vertex)] = change.vertex
            row.line = change.line or row.line

    with console.live(lambda: _table(rows)) as live:
        yield take if live else lambda change: _plain(change, console)


def _plain(change: VertexChange, console: Console) -> None:
    """One line for each step that ends, and what checks say; quiet about what is cached or
    transferred.
    """
    vertex = change.vertex
    name = vertex.step.target or "bake"
    if change.line:
        if change.line.startswith(("smoke:", "parity:", "control:")):
            console.say(f"{name}: {change.line}")
    elif vertex.state == "done" and (
        vertex.step.instruction or (vertex.seconds >= 1 and not vertex.step.target)
    ):
        console.say(f"{name}: {vertex.step.title} ({vertex.seconds:.1f} s)")
    elif vertex.state == "failed":
        console.say(f"{name}: {vertex.step.title} failed after {vertex.seconds:.1f} s")


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
        order = ("failed", "running", "cancelled", "done")
        return next((state for state in order if state in states), "cached")

    @property
    def seconds(self) -> float:
        """Since the first step began, until the last one ended."""
        own = [v for v in self.vertices.values() if v.state != "cached"]
        if not own:
            return 0.0
        ends = [v.started + v.seconds if v.state != "running" else time.time() for v in own]
        return max(0.0, max(ends) - min(v.started for v in own))


def _table(rows: dict[str, _Row]) -> Table:
    from rich.table import Table
    from rich.text import Text

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
        mark, word, colour = _STATES[row.state]
        state = Text(f"{mark} {word}", style=colour)
        table.add_row(Text(name), state, f"{row.seconds:.1f} s", Text(detail))
    return table
