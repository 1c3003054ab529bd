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
    return "; ".join((done, *_left(view)))


def drawn(view: ProgressView, width: int) -> Iterator[tuple[str, str]]:
    """Lines that fit a terminal, each with its style as rich names it.

    A group shows its first running and failed items; the rest is counted.
    """
    counts = bool(view.items or view.tally)
    figures = "  ".join((*([_tally(view)] if counts else ()), clock(view.seconds), *_left(view)))
    room = min(_BAR, width - len(view.title) - len(figures) - 4)
    bar = f"  {_bar(_part(view), room)}" if counts and room >= 8 else ""
    yield _cut(f"{view.title}{bar}  {figures}", width), "bold"
    groups = list(dict.fromkeys(item.group for item in view.items))
    column = max((len(group) for group in groups), default=0)
    for group in groups:
        items = [item for item in view.items if item.group == group]
        if group:
            cached = sum(item.state == "cached" for item in items)
            more = f", {cached} cached" if cached else ""
            yield _cut(f"{group.ljust(column)}  {_counted(items)}{more}", width), ""
        yield from _group(items, width)


def clock(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _group(items: Sequence[WorkItem], width: int) -> Iterator[tuple[str, str]]:
    order = list(_MARKS)
    active = sorted((i for i in items if i.state in _MARKS), key=lambda i: order.index(i.state))
    names = max((len(item.name) for item in active[:RUNNING]), default=0)
    for item in active[:RUNNING]:
        mark, style = _MARKS[item.state]
        after = "" if item.state == "cancelled" else f"  {clock(item.seconds):>8}"
        yield _cut(f"  {mark} {item.name.ljust(names)}{after}  {item.doing}", width), style
    if active[RUNNING:]:
        yield f"    and {len(active) - RUNNING} more", "cyan"


def _tally(view: ProgressView) -> str:
    return view.tally or f"{_counted(view.items)} done"


def _counted(items: Sequence[WorkItem]) -> str:
    return f"{sum(item.state in ENDED for item in items)} of {len(items)}"


def _part(view: ProgressView) -> float:
    if view.part is not None:
        return view.part
    return sum(item.state in ENDED for item in view.items) / max(len(view.items), 1)


def _left(view: ProgressView) -> tuple[str, ...]:
    if view.left is None or view.left < 1:
        return ()
    left = round(view.left / 5) * 5 if view.left > 20 else view.left  # no figure that flickers
    return (f"about {clock(left)} left",)


def _bar(part: float, width: int) -> str:
    full = round(width * min(max(part, 0.0), 1.0))
    return "━" * full + "─" * (width - full)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"
