"""What a running build says, as a state that grows with each of BuildKit's events. Pure but for
that state.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from slimbake.build.steps import BuildStep, Steps

State = Literal["running", "done", "cached", "failed", "cancelled"]


@dataclass(slots=True)
class Vertex:
    """A step that is being built."""

    step: BuildStep
    state: State = "running"
    started: float = 0.0  # seconds since the epoch, by the builder's clock
    seconds: float = 0.0
    error: str = ""
    log: list[str] = field(default_factory=list)
    # stream -> what it wrote after its last newline
    unended: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VertexChange:
    """A step that began, ended, or said a line."""

    vertex: Vertex
    line: str = ""


class Progress:
    """All steps of one build, by BuildKit's digests of them."""

    def __init__(self, steps: Steps, only: str = "") -> None:
        self.vertices: dict[str, Vertex] = {}
        self._steps, self._only = steps, only

    def take(self, event: dict[str, Any]) -> Iterator[VertexChange]:
        """Take in one SolveStatus and yield what it changes."""
        for vertex in event.get("vertexes") or ():
            if "started" in vertex:
                yield from self._vertex(vertex)
        for log in event.get("logs") or ():
            known = self.vertices.get(log.get("vertex", ""))
            if known:
                yield from _lines(
                    known, log.get("stream", 1), base64.b64decode(log.get("data", ""))
                )

    @property
    def failed(self) -> Vertex | None:
        """The step that broke the build: of those that failed, the one that ended first.

        What runs beside it is cancelled then, and a process that is killed may end as one that
        failed of itself.
        """
        failed = (vertex for vertex in self.vertices.values() if vertex.state == "failed")
        return min(failed, key=lambda vertex: vertex.started + vertex.seconds, default=None)

    def _vertex(self, event: dict[str, Any]) -> Iterator[VertexChange]:
        known = self.vertices.get(event["digest"])
        if known is None:
            known = self.vertices[event["digest"]] = Vertex(
                self._steps.step(event["name"], self._only)
            )
        known.started = _seconds(event["started"])
        state: State = "running"
        if "completed" in event:
            for stream in tuple(known.unended):
                yield from _lines(known, stream, b"\n")
            known.seconds = _seconds(event["completed"]) - known.started
            if event.get("error"):
                known.error = event["error"]
                state = "cancelled" if "context canceled" in known.error else "failed"
            else:
                state = "cached" if event.get("cached") else "done"
        if state != known.state or not known.seconds:
            known.state = state
            yield VertexChange(known)


def _lines(vertex: Vertex, stream: int, written: bytes) -> Iterator[VertexChange]:
    """The lines that end with these bytes: BuildKit sends what a process writes, whole lines or
    not.
    """
    *ended, rest = (vertex.unended.pop(stream, b"") + written).split(b"\n")
    if rest:
        vertex.unended[stream] = rest
    for line in ended:
        vertex.log.append(line.decode(errors="replace").rstrip("\r"))
        yield VertexChange(vertex, vertex.log[-1])


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()
