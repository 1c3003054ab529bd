"""What the jobs of a run tell one another and the next run, in files."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from slimbake.build.release import Released, Tell
from slimbake.ci import model
from slimbake.ci.model import Known, Record
from slimbake.errors import SlimbakeError, UsageError
from slimbake.host.files import write_atomically

T = TypeVar("T")


def known(file: Path | None) -> Known:
    """What was known before; nothing where there is no such file. Raises UsageError for one that is
    something else.
    """
    return _read(file, model.known) if file and file.is_file() else Known()


def records(paths: Iterable[Path]) -> tuple[Record, ...]:
    """The records in these files and folders. Raises UsageError for a file that is none."""
    files = [
        f for path in paths for f in (sorted(path.glob("**/*.json")) if path.is_dir() else [path])
    ]
    return tuple(_read(file, model.record) for file in files)


def write(file: Path, what: Known | Record) -> None:
    """Write it, whole or not at all."""
    write_atomically(file, (json.dumps(what.as_json(), ensure_ascii=False) + "\n").encode())


@contextlib.contextmanager
def recorded(file: Path | None, services: tuple[str, ...]) -> Iterator[Tell]:
    """Time what is done within, and write a record of it; `file`: None = nowhere.

    Gives a function that takes what was released and which services failed; where it is not called,
    none was released. An error is recorded and goes on.
    """
    started = time.monotonic()
    told: list[tuple[Released, tuple[str, ...]]] = []
    error = ""
    try:
        yield lambda released, failed: told.append((released, failed))
    except SlimbakeError as failure:
        error = "\n".join(filter(None, (failure.message, failure.hint)))
        raise
    finally:
        if file:
            released, failed = told[-1] if told else (None, services)
            made = Record(
                services=services,
                seconds=round(time.monotonic() - started, 1),
                error=error,
                failed=failed,
                held=tuple(image.target for image in released.held) if released else (),
                images=released.measurement.images if released else (),
            )
            write(file, made)


def _read(file: Path, read: Callable[[Any], T]) -> T:
    try:
        return read(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "`slimbake bake --record` and `slimbake summary --write` write such files"
        raise UsageError(f"{file} cannot be read: {type(error).__name__}: {error}", hint) from None
