"""Shows a running build: groups of targets on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from slimbake.console import Console
from slimbake.console.progress import ProgressView, WorkItem, headline
from slimbake.inside.lines import some
from slimbake.plan.model import CHECKS, Target
from slimbake.release.events import EXPORTS, Progress, Vertex, VertexChange

NAMED = 5  # targets that a line names
EVERY = 30.0  # seconds without a line, after which a plain one says how far the build is

_GROUPS = {"service": "services", **dict.fromkeys(CHECKS, "checks")}  # of others: "shared"


class Board:
    """How far each target of a build is."""

    def __init__(
        self,
        targets: Sequence[Target],
        exported: Collection[str],
        progress: Progress,
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

    def complete(self) -> None:
        """The build has ended well, and with it every target."""
        self._complete = True

    def state(self, name: str) -> str:
        """As items of progress have it. A target is done when its last step is and its image is there."""
        row = self._rows[name]
        states = {vertex.state for vertex in row.vertices.values()}
        if "failed" in states:
            return "failed"
        finished = self._complete or self._progress.finished(name)
        put_out = self._complete or name not in self._exported or row.put_out
        if finished and not put_out:
            return "exports"
        if "running" in states:
            return "running"
        if finished:
            return "done" if row.ran else "cached"
        return "cancelled" if "cancelled" in states else "waits"

    def states(self) -> dict[str, str]:
        """Of every target."""
        return {name: self.state(name) for name in self._targets}

    def view(self) -> ProgressView:
        """This moment, in groups: what is shared, services, checks."""
        groups: dict[str, list[WorkItem]] = {"shared": [], "services": [], "checks": []}
        for name, state in self.states().items():
            row = self._rows[name]
            group = _GROUPS.get(self._targets[name].kind, "shared")
            groups[group].append(WorkItem(name, state, group, row.seconds, row.doing))
        items = (*groups["shared"], *groups["services"], *groups["checks"])
        return ProgressView("bake", time.monotonic() - self._began, items)


@contextmanager
def show(board: Board, console: Console) -> Iterator[Plain | Board]:
    """What takes each change of the build and shows it."""
    with console.live(board.view) as live:
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
        self._said: set[str] = set()  # what checks said
        self._last = time.monotonic()
        self._lock = threading.Lock()  # `tick` is called from another thread

    def take(self, change: VertexChange) -> None:
        """Take in a change of a step, and say what a person wants to know of it."""
        with self._lock:
            self._board.take(change)
            if line := self._line(change):
                self._say(line)

    def complete(self) -> None:
        """The build has ended well."""
        self._board.complete()

    def tick(self) -> None:
        """Say how far the build is, where nothing was said for a while."""
        with self._lock:
            if time.monotonic() - self._last >= EVERY:
                view = self._board.view()
                names = [item.name for item in view.items if item.state == "running"]
                line = headline(view)
                if names:
                    line += f"; running: {some(names, NAMED)}"
                self._say(line)

    def _say(self, line: str) -> None:
        self._console.say(line)
        self._last = time.monotonic()

    def _line(self, change: VertexChange) -> str:
        vertex = change.vertex
        name = vertex.step.target or "bake"
        if change.line:
            line = f"{name}: {change.line}"
            if not change.line.startswith(("smoke:", "parity:", "control:")):
                return ""
            if line in self._said:
                return ""
            self._said.add(line)
            return line
        if vertex.state == "failed":
            return f"{name}: {vertex.step.title} failed after {vertex.seconds:.1f} s"
        long = vertex.seconds >= 1 and not vertex.step.target
        if vertex.state == "done" and (vertex.step.instruction or long):
            return f"{name}: {vertex.step.title} ({vertex.seconds:.1f} s)"
        return ""


class _Row:
    """What a target does now, and what it has done."""

    def __init__(self) -> None:
        self.vertices: dict[int, Vertex] = {}

    @property
    def _steps(self) -> tuple[Vertex, ...]:
        return tuple(self.vertices.values())  # another thread may add one

    @property
    def _current(self) -> Vertex | None:
        """The step that runs, else the last one."""
        last = None
        for vertex in self._steps:
            if vertex.state == "running" or last is None or last.state != "running":
                last = vertex
        return last

    @property
    def doing(self) -> str:
        """Its step, and the last line that it said."""
        vertex = self._current
        if vertex is None:
            return ""
        line = vertex.log[-1] if vertex.log else ""
        return f"{vertex.step.title}  {line}"

    @property
    def put_out(self) -> bool:
        """Whether what buildx was to put out of it is there."""
        states = [step.state for step in self._steps if step.step.title.startswith(EXPORTS)]
        return bool(states) and set(states) == {"done"}

    @property
    def ran(self) -> bool:
        """Whether any step of it was not cached."""
        return any(step.state == "done" and step.step.instruction for step in self._steps)

    @property
    def seconds(self) -> float:
        """Of its step: until it ended, or until now."""
        vertex = self._current
        if vertex is None:
            return 0.0
        if vertex.state == "running":
            return time.time() - vertex.started
        return vertex.seconds
