"""Where a command talks to whoever runs it: lines and progress, on stderr. Results go to stdout."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

EVERY = 10.0  # seconds between lines of a status where there is no terminal


# What a terminal could take for a command: C0 but tab and line break, DEL, C1; what shows text in
# another order than it is, or not at all; and surrogates, which cannot be written.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
# What GitHub's runner takes for a command: `::` at the beginning of a line, `##[` anywhere.
_COMMAND = re.compile(r"^(\s*):(?=:)|##(?=\[)", re.MULTILINE)


def harmless(text: str) -> str:
    """A text that may be anybody's, for a terminal or the log of a pipeline: control characters are
    shown as Python writes them, and no line of it is a command of the runner's.
    """
    text = _CONTROL.sub(_escaped, text.replace("\r\n", "\n"))
    if os.environ.get("GITHUB_ACTIONS"):
        text = _COMMAND.sub(lambda found: "#\\#" if found[1] is None else f"{found[1]}\\:", text)
    return text


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{harmless(line)}\n")
    sys.stderr.flush()


class Console:
    """One for a whole command. `write`: takes each line, without its end."""

    def __init__(self, write: Callable[[str], None] = _to_stderr) -> None:
        self._write = write
        self._terminal = write is _to_stderr and sys.stderr.isatty()

    def say(self, line: str) -> None:
        """A line, for people to read."""
        self._write(line)

    def under(self, title: str) -> Console:
        """A console whose lines begin with a title: of several that run at once."""
        return Console(lambda line: self._write(f"{title}: {line}"))

    @contextlib.contextmanager
    def bytes(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal, one line elsewhere; gives what is told of the bytes that arrive."""
        if not self._terminal:
            self.say(f"{title}, {total / 1e6:,.1f} MB")
            yield lambda _: None
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
        from rich.progress import TransferSpeedColumn as Speed

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed())
        with Progress(*columns, console=_rich(), transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.advance(task, count)

    @contextlib.contextmanager
    def status(self) -> Iterator[Callable[[str, str], None]]:
        """A line that changes on a terminal, a line at times elsewhere.

        Gives what is told of each state: its title, and the line; a new title is said at once.
        """
        if self._terminal:
            from rich.text import Text

            with _rich().status("") as shown:
                yield lambda _, line: shown.update(Text(harmless(line)))
            return
        last, said = "", -EVERY

        def plainly(title: str, line: str) -> None:
            nonlocal last, said
            if title != last or time.monotonic() - said >= EVERY:
                last, said = title, time.monotonic()
                self.say(line)

        yield plainly

    @contextlib.contextmanager
    def live(self, render: Callable[[], Any]) -> Iterator[bool]:
        """What `render` gives, for rich, shown anew several times a second; false, and nothing is
        shown, where there is no terminal.
        """
        if not self._terminal:
            yield False
            return
        from rich.live import Live

        with Live(get_renderable=render, console=_rich(), refresh_per_second=5):
            yield True


def _rich() -> Any:
    from rich.console import Console as RichConsole

    return RichConsole(stderr=True)


# Says nothing.
QUIET = Console(lambda _: None)
