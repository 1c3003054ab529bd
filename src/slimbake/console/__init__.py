"""Where a command talks to whoever runs it: lines and progress, on stderr. Results go to stdout."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a command that is done at once shows no progress
    from slimbake.console.progress import ProgressView
    from slimbake.console.tracker import Tracker

# What a terminal could take for a command: C0 but tab and line break, DEL, C1; what shows text in
# another order than it is, or not at all; and surrogates, which cannot be written.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# What GitHub's runner takes for a command: `::` at the beginning of a line, `##[` anywhere.
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)|##(?=\[)", re.MULTILINE)


def harmless(text: str) -> str:
    """A text that may be anybody's, for a terminal or the log of a pipeline: control characters are
    shown as Python writes them, and no line of it is a command of the runner's.
    """
    text = _CONTROL.sub(_escaped, text.replace("\r\n", "\n"))
    if os.environ.get("GITHUB_ACTIONS"):
        text = _COMMAND.sub(lambda match: "#\\#" if match[1] is None else f"{match[1]}\\:", text)
    return text


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{fitting(harmless(line))}\n")
    sys.stderr.flush()


def fitting(text: str) -> str:
    """A text whose lines are no longer than a line of the terminal that stderr is, if it is one."""
    if not sys.stderr.isatty():
        return text
    from slimbake.console.tables import folded

    return folded(text, shutil.get_terminal_size().columns)


class _Screen:
    """The part of a terminal that changes: one view below the other, while there are any."""

    def __init__(self) -> None:
        self._views: list[Callable[[], ProgressView]] = []
        self._live: Any = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def showing(self, view: Callable[[], ProgressView]) -> Iterator[None]:
        """Show a view until the block ends."""
        with self._lock:
            self._views.append(view)
            if self._live is None:
                self._live = self._begun()
        try:
            yield
        finally:
            with self._lock:
                self._views.remove(view)
                if not self._views:
                    self._live.stop()
                    self._live = None

    def _begun(self) -> Any:
        from rich.console import Console as RichConsole
        from rich.live import Live
        from rich.text import Text

        from slimbake.console.progress import drawn

        rich = RichConsole(stderr=True)

        def render() -> Text:
            screen = Text(no_wrap=True, end="")
            for view in tuple(self._views):
                for text, style in drawn(view(), rich.width - 1):
                    screen.append(f"{harmless(text)}\n", style)
            return screen

        live = Live(get_renderable=render, console=rich, refresh_per_second=5, transient=True)
        live.start(refresh=True)
        return live


class Console:
    """One for a whole command. `write`: takes each line, without its end."""

    def __init__(
        self, write: Callable[[str], None] = _to_stderr, screen: _Screen | None = None
    ) -> None:
        self._write = write
        self._screen = screen
        if write is _to_stderr and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._screen = _Screen()

    def say(self, line: str) -> None:
        """A line, for people to read."""
        self._write(line)

    def under(self, title: str) -> Console:
        """A console whose lines begin with a title: of several that run at once."""
        return Console(lambda line: self._write(f"{title}: {line}"), self._screen)

    @contextlib.contextmanager
    def live(self, view: Callable[[], ProgressView]) -> Iterator[bool]:
        """Show what `view` gives, several times a second; false, and nothing is shown, where there
        is no terminal.
        """
        with self._screen.showing(view) if self._screen else contextlib.nullcontext():
            yield self._screen is not None

    @contextlib.contextmanager
    def tracked(self, title: str, steps: Iterable[str] = (), line: str = "") -> Iterator[Tracker]:
        """The steps of some work: a view on a terminal; elsewhere `line`, and one for each step."""
        from slimbake.console.tracker import Tracker

        if line and not self._screen:
            self.say(line)
        tracker = Tracker(title, steps, (lambda _: None) if self._screen else self.say)
        with self.live(tracker.view):
            yield tracker

    @contextlib.contextmanager
    def bytes(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal, one line elsewhere; gives what counts the bytes that arrive."""
        from slimbake.console.progress import ProgressView

        if not self._screen:
            self.say(f"{title}, {total / 1e6:,.1f} MB")
        began, arrived = time.monotonic(), 0

        def count(more: int) -> None:
            nonlocal arrived
            arrived += more

        def view() -> ProgressView:
            seconds = time.monotonic() - began
            part = arrived / max(total, 1)
            left = None
            if part:
                left = seconds / part * (1 - part)
            tally = f"{arrived / 1e6:,.1f} of {total / 1e6:,.1f} MB"
            return ProgressView(title, seconds, left=left, tally=tally, part=part)

        with self.live(view):
            yield count


# Says nothing.
QUIET = Console(lambda _: None)
