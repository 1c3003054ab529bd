"""The folder where slimbake keeps what belongs to this machine and to no repository."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from slimbake.console import Console
from slimbake.errors import UsageError

T = TypeVar("T")


def state_folder() -> Path:
    """The folder, made if it is missing: logs and records of the engine, the stand-in of uv."""
    folder = Path(platformdirs.user_state_dir("slimbake"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def exclusively(name: str, console: Console) -> Iterator[None]:
    """Hold the machine's lock of that name: of two bakes at once, one makes the stand-in."""
    with locked_file(
        state_folder() / f"{name}.lock", f"waiting for another slimbake ({name})", console
    ):
        yield


@contextlib.contextmanager
def locked_file(path: Path, waiting: str, console: Console) -> Iterator[None]:
    """Hold a lock that lies in a file; `waiting` is said where another process holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder; where there is none, `make` fills one, which then takes that name whole or not at
    all.
    """
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            make(made)
            try:
                made.rename(folder)
            except OSError:  # another slimbake was faster; what it made is the same
                if not folder.is_dir():
                    raise
    return folder


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put a file in place whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_text(file: Path, hint: str, called: str = "") -> str:
    """A file of text that slimbake wrote. Raises UsageError, with `hint`, where it is not UTF-8.

    `called`: its name for people.
    """
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        byte = f"the byte 0x{error.object[error.start]:02x} at offset {error.start}"
        raise UsageError(f"{called or file} is not UTF-8: {byte}", hint) from None


def read_json(file: Path, parse: Callable[[Any], T], hint: str, called: str = "") -> T:
    """What a file of JSON says. Raises UsageError, with `hint`, where it cannot be read or `parse`
    takes it for something else. `called`: its name for people, where that is another.
    """
    try:
        return parse(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"{called or file} cannot be read: {type(error).__name__}: {error}"
        raise UsageError(message, hint) from None
