"""Shows a running build: a live table of targets on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimbake.build.events import EXPORTS, Progress, Vertex, VertexChange
from slimbake.console import Console
from slimbake.plan.model import Target

if TYPE_CHECKING:
    from rich.table import Table

EVERY = 30.0  # seconds without a line, after which a plain one says how far the build is
NAMED = 5  # targets that a line names

_STATES = {  # of a target, as a person looks for them: its mark, word and colour
    "failed": ("✗", "failed", "red"),
    "running": ("…", "builds", "cyan"),
    "exports": ("…", "exports", "cyan"),
    "waits": (" ", "waits", "dim"),
    "cancelled": ("-", "cancelled", ""),
    "done": ("✓", "done", "green"),
    "cached": ("=", "cached", "dim"),
}
ENDED = ("done", "cached")


class Board:
    """How far each target of a build is."""

    def __init__(
        self, targets: Sequence[Target], exported: Collection[str], progress: Progress
    ) -> None:
        """`targets`: in the plan's order; `exported`: those of which buildx puts something out."""
        self._targets = {target.name: target for target in targets}
        self._rows = {target.name: _Row() for target in targets}
        self._exported, self._progress = exported, progress
        self._began = time.monotonic()
        self._complete = False

    def take(self, change: VertexChange) -> None:
        """Take in a change of a step."""
        row = self._rows.get(change.vertex.step.target)
        if row is not None:
            row.vertices[id(change.vertex)] = change.vertex
            row.line = change.line or row.line

    def complete(self) -> None:
        """The build has ended well, and with it every target."""
        self._complete = True

    def state(self, name: str) -> str:
        """A key of `_STATES`. A target is done when its last step is and its image is there."""
        row = self._rows[name]
        states = {vertex.state for vertex in row.vertices.values()}
        if "failed" in states:
            return "failed"
        finished = self._complete or self._progress.finished(name)
        if finished and not self._complete and name in self._exported and not row.put_out:
            return "exports"
        if "running" in states:
            return "running"
        if finished:
            return "done" if row.ran else "cached"
        return "cancelled" if "cancelled" in states else "waits"

    def states(self) -> dict[str, str]:
        """Of every target."""
        return {name: self.state(name) for name in self._targets}

    def awaited(self, name: str, states: dict[str, str]) -> tuple[str, ...]:
        """The unfinished targets that a target needs; only the shared ones, if there are any."""
        left = [each for each in self._targets[name].needs if states.get(each, "done") not in ENDED]
        shared = tuple(each for each in left if self._targets[each].shared)
        return shared or tuple(each for each in left if self._targets[each].kind != "inside")

    def headline(self, states: dict[str, str]) -> str:
        """How many targets of how many are done, after which time, and what waits for what."""
        ended = sum(state in ENDED for state in states.values())
        words = f"{ended} of {len(states)} targets done after {_clock(self.seconds)}"
        waiting: dict[str, int] = {}
        for name, state in states.items():
            if state == "waits":
                for each in self.awaited(name, states):
                    if self._targets[each].shared:
                        waiting[each] = waiting.get(each, 0) + 1
        return "; ".join((words, *(f"{count} wait for {base}" for base, count in waiting.items())))

    def exporting(self) -> tuple[str, ...]:
        """The targets whose images are still put out, once nothing else is left to do; () until
        then.
        """
        states = self.states()
        left = tuple(name for name, state in states.items() if state == "exports")
        return left if len(left) + sum(s in ENDED for s in states.values()) == len(states) else ()

    def running(self) -> tuple[str, ...]:
        """What is being done, in words."""
        found = ((name, row.current) for name, row in self._rows.items())
        return tuple(
            f"{name}: {vertex.step.title} ({time.time() - vertex.started:.0f} s)"
            for name, vertex in found
            if vertex is not None and vertex.state == "running"
        )

    @property
    def seconds(self) -> float:
        """Since the build began."""
        return time.monotonic() - self._began

    def table(self) -> Table:
        """For a terminal: what runs or failed comes first, since what is too long is cut off."""
        from rich.table import Table
        from rich.text import Text

        states = self.states()
        title = Text(self.headline(states))
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True, title=title)
        table.title_justify = "left"
        table.add_column("target", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("step", ratio=1, no_wrap=True, overflow="ellipsis")
        order = list(_STATES)
        for name in sorted(states, key=lambda each: order.index(states[each])):
            row, (mark, word, colour) = self._rows[name], _STATES[states[name]]
            table.add_row(
                Text(name, style="dim" if states[name] == "waits" else ""),
                Text(f"{mark} {word}", style=colour),
                f"{row.seconds:.1f} s" if row.vertices else "",
                Text(self._detail(name, states)),
            )
        return table

    def _detail(self, name: str, states: dict[str, str]) -> str:
        row = self._rows[name]
        if states[name] == "waits":
            awaited = self.awaited(name, states)
            return f"for {', '.join(awaited)}" if awaited else ""
        vertex = row.current
        if vertex and vertex.state == "running":
            return f"{vertex.step.title}  {row.line}"
        return row.line


@contextmanager
def show(board: Board, console: Console) -> Iterator[Plain | Board]:
    """What takes each change of the build and shows it."""
    with console.live(board.table) as live:
        if live:
            yield board
            return
        plain = Plain(board, console)
        over = threading.Event()
        teller = threading.Thread(target=_tell, args=(plain, over), daemon=True)
        teller.start()
        try:
            yield plain
        finally:
            over.set()
            teller.join()


def _tell(plain: Plain, over: threading.Event) -> None:
    while not over.wait(1):
        plain.tick()


class Plain:
    """Plain lines: one for each step that ends, what checks say, and how far all is at times; quiet
    about what is cached or transferred.
    """

    def __init__(self, board: Board, console: Console) -> None:
        self._board, self._console = board, console
        self._said: dict[str, None] = {}  # what checks said
        self._last = time.monotonic()
        self._exporting = False
        self._lock = threading.Lock()  # `tick` is called from another thread

    def take(self, change: VertexChange) -> None:
        """Take in a change of a step, and say what a person wants to know of it."""
        with self._lock:
            self._board.take(change)
            if line := self._line(change):
                self._say(line)
            left = () if self._exporting or change.line else self._board.exporting()
            if left:
                self._exporting = True
                names = ", ".join(left) if len(left) <= NAMED else f"{len(left)} images"
                self._say(
                    f"all steps are done after {_clock(self._board.seconds)}; the builder packs and"
                    f" unpacks {names}"
                )

    def complete(self) -> None:
        """The build has ended well."""
        self._board.complete()

    def tick(self) -> None:
        """Say how far the build is, where nothing was said for a while."""
        with self._lock:
            if time.monotonic() - self._last >= EVERY:
                running = self._board.running()
                more = (f"and {len(running) - NAMED} more",) if len(running) > NAMED else ()
                words = (self._board.headline(self._board.states()), *running[:NAMED], *more)
                self._say("; ".join(words))

    def _say(self, line: str) -> None:
        self._console.say(line)
        self._last = time.monotonic()

    def _line(self, change: VertexChange) -> str:
        vertex = change.vertex
        name = vertex.step.target or "bake"
        if change.line:
            line = f"{name}: {change.line}"
            if not change.line.startswith(("smoke:", "parity:", "control:")) or line in self._said:
                return ""
            self._said[line] = None
            return line
        if vertex.state == "failed":
            return f"{name}: {vertex.step.title} failed after {vertex.seconds:.1f} s"
        if vertex.state == "done" and (
            vertex.step.instruction or (vertex.seconds >= 1 and not vertex.step.target)
        ):
            return f"{name}: {vertex.step.title} ({vertex.seconds:.1f} s)"
        return ""


class _Row:
    """What a target does now, and what it has done."""

    def __init__(self) -> None:
        self.vertices: dict[int, Vertex] = {}
        self.line = ""

    @property
    def current(self) -> Vertex | None:
        every = tuple(self.vertices.values())  # another thread may add one
        running = [v for v in every if v.state == "running"]
        return running[-1] if running else next(reversed(every), None)

    @property
    def put_out(self) -> bool:
        """Whether what buildx was to put out of it is there."""
        exports = [v for v in tuple(self.vertices.values()) if v.step.title.startswith(EXPORTS)]
        return bool(exports) and all(v.state == "done" for v in exports)

    @property
    def ran(self) -> bool:
        """Whether any step of it was not cached."""
        every = tuple(self.vertices.values())
        return any(v.state == "done" and v.step.instruction for v in every)

    @property
    def seconds(self) -> float:
        """Since the first step began, until the last one ended."""
        own = [v for v in tuple(self.vertices.values()) if v.state != "cached"]
        if not own:
            return 0.0
        ends = [v.started + v.seconds if v.state != "running" else time.time() for v in own]
        return max(0.0, max(ends) - min(v.started for v in own))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
