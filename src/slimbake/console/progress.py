"""Shows how far a fetch is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(wheels: int, total: int) -> Iterator[Callable[[int], None]]:
    """A function that is told of each number of bytes that arrived."""
    title = f"fetching {wheels} wheel{'s' * (wheels != 1)}"
    if not sys.stderr.isatty():
        sys.stderr.write(f"{title}, {total / 1e6:,.1f} MB\n")
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
