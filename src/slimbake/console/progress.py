"""What a terminal shows of work that goes on: how much is done, what runs, what failed.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RUNNING = 6  # lines of a group that are shown
_BAR = 30  # columns of the bar, where there is room

_MARKS = {  # of a state that is shown on a line of its own, as a person looks for them
    "failed": ("✗", "red"),
    "running": ("…", "cyan"),
    "exports": ("…", "cyan"),
    "cancelled": ("-", ""),
}
ENDED = ("done", "cached")


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One step of the work: a target, a layer, a file."""

    name: str
    state: str  # a key of _MARKS, "waits", or one of ENDED
    group: str = ""
    seconds: float = 0.0  # since it began, until it ended
    doing: str = ""


@dataclass(frozen=True, slots=True)
class ProgressView:
    """A moment of the work."""

    title: str
    seconds: float  # since it began
    items: tuple[WorkItem, ...] = ()
    left: float | None = None  # seconds that the rest takes, about; None: nobody knows
    tally: str = ""  # what is done of what; "" = the items
    part: float | None = None  # of it, that is done; None = of the items


def headline(view: ProgressView) -> str:
    """In one line: what is done of how much, after which time, and for how long the rest takes."""
    done = f"{view.title}: {_tally(view)} after {clock(view.seconds)}"
    left = _left(view)
    return f"{done}; {left}" if left else done


def drawn(view: ProgressView, width: int) -> Iterator[tuple[str, str]]:
    """Lines that fit a terminal, each with its style as rich names it.

    A group shows its first running and failed items; the rest is counted.
    """
    counted = bool(view.items or view.tally)
    parts = [view.title, clock(view.seconds)]
    if counted:
        parts.insert(1, _tally(view))
    left = _left(view)
    if left:
        parts.append(left)
    room = width - len("  ".join(parts)) - 2
    if counted and room >= 8:
        parts.insert(1, _bar(_part(view), min(_BAR, room)))
    yield _cut("  ".join(parts), width), "bold"

    groups: dict[str, list[WorkItem]] = {}
    for item in view.items:
        groups.setdefault(item.group, []).append(item)
    column = max(map(len, groups), default=0)
    for group, items in groups.items():
        if group:
            line = f"{group.ljust(column)}  {_counted(items)}"
            cached = sum(item.state == "cached" for item in items)
            if cached:
                line += f", {cached} cached"
            yield _cut(line, width), ""
        yield from _group(items, width)


def clock(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(int(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s"


def _group(items: Sequence[WorkItem], width: int) -> Iterator[tuple[str, str]]:
    active = []
    for state in _MARKS:
        active += [item for item in items if item.state == state]
    lines = active[:RUNNING]
    column = max((len(item.name) for item in lines), default=0)
    for item in lines:
        mark, style = _MARKS[item.state]
        line = f"  {mark} {item.name.ljust(column)}"
        if item.state != "cancelled":
            line += f"  {clock(item.seconds):>8}"
        yield _cut(f"{line}  {item.doing}", width), style
    if len(active) > RUNNING:
        yield f"    and {len(active) - RUNNING} more", "cyan"


def _tally(view: ProgressView) -> str:
    return view.tally or f"{_counted(view.items)} done"


def _counted(items: Sequence[WorkItem]) -> str:
    return f"{sum(item.state in ENDED for item in items)} of {len(items)}"


def _part(view: ProgressView) -> float:
    if view.part is not None:
        return view.part
    return sum(item.state in ENDED for item in view.items) / max(len(view.items), 1)


def _left(view: ProgressView) -> str:
    """How long the rest takes; "" where nobody knows."""
    left = view.left
    if left is None or left < 1:
        return ""
    if left > 20:
        left = round(left / 5) * 5  # no figure that flickers
    return f"about {clock(left)} left"


def _bar(part: float, width: int) -> str:
    full = round(width * min(max(part, 0.0), 1.0))
    return "━" * full + "─" * (width - full)


def _cut(line: str, width: int) -> str:
    if len(line) > width:
        line = f"{line[: width - 1]}…"
    return line
