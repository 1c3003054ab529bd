"""`.slimbake/` beside a manifest: what this machine knows of one repository, ignored by Git.

Nothing in it is needed. What is not there is found out again; what is garbled is discarded, with
one line for whoever runs the command.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from slimbake.console import QUIET, Console
from slimbake.host.files import content, remove_halves, write_atomically
from slimbake.host.typed import WRONG, json_value

T = TypeVar("T")

FOLDER = ".slimbake"


class Workspace:
    """The one class that reads and writes there. Names are those of files, without their end."""

    def __init__(self, root: Path | None, console: Console = QUIET) -> None:
        """`root`: the repository, None where nothing is to be kept."""
        # Programs that write there, such as buildx, work in other folders than this process.
        self._folder = root.absolute() / FOLDER if root else None
        self._console = console

    def path(self, name: str) -> Path:
        """Where something lies that others write, such as buildx. Raises ValueError where nothing
        is to be kept.
        """
        if self._folder is None:
            raise ValueError(name)
        return self._folder / name

    def read(self, name: str, parse: Callable[[Any], T]) -> T | None:
        """What is kept under a name; None where nothing is that can be read.

        `parse`: makes it of plain JSON, and raises ValueError, TypeError, LookupError,
        ArithmeticError or AttributeError for anything else.
        """
        file = self._file(name)
        if file is None or not file.is_file():
            return None
        try:
            return parse(json_value(content(file.parent, file.name)))
        except OSError:
            return None
        except WRONG:
            self._console.say(f"{FOLDER}/{name}.json cannot be read, and is discarded")
            with contextlib.suppress(OSError):
                file.unlink()
            return None

    def write(self, name: str, value: Any) -> None:
        """Keep plain JSON under a name: whole or not at all. Where that cannot be written, the next
        run finds it out again.
        """
        if file := self._file(name):
            with contextlib.suppress(OSError):
                self._ignored()
                write_atomically(file, json.dumps(value, indent=0).encode())
                remove_halves(file.parent)

    def write_text(self, name: str, text: str) -> None:
        """Write a file that a build reads. Raises OSError."""
        if self._folder:
            self._ignored()
            write_atomically(self._folder / name, text.encode())

    def trim(self, folder: str, newest: int) -> None:
        """Remove all but the newest files of a folder."""
        if self._folder:
            files = (self._folder / folder).glob("*.json")
            for path in sorted(files, key=lambda path: path.stat().st_mtime)[:-newest]:
                path.unlink(missing_ok=True)

    def _file(self, name: str) -> Path | None:
        if self._folder:
            return self._folder / f"{name}.json"
        return None

    def _ignored(self) -> None:
        """Have Git ignore the folder, no matter what the repository's own .gitignore says."""
        if self._folder and not (self._folder / ".gitignore").is_file():
            write_atomically(self._folder / ".gitignore", b"*\n")
