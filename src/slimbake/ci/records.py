"""What the jobs of a run tell one another and the next run, in files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from slimbake.build.release import Released
from slimbake.ci import model
from slimbake.ci.model import Known, Record
from slimbake.errors import SlimbakeError
from slimbake.host.files import read_json, write_atomically

_HINT = "`slimbake bake --record` and `slimbake ci summary --write` write such files"


def read_known(file: Path | None) -> Known:
    """What was known before; nothing where there is no such file. Raises UsageError for one that is
    something else.
    """
    return read_json(file, model.parse_known, _HINT) if file and file.is_file() else Known()


def records(paths: Iterable[Path]) -> tuple[Record, ...]:
    """The records in these files and folders. Raises UsageError for a file that is none."""
    files = [
        f for path in paths for f in (sorted(path.glob("**/*.json")) if path.is_dir() else [path])
    ]
    return tuple(read_json(file, model.parse_record, _HINT) for file in files)


def write_record(file: Path, what: Known | Record) -> None:
    """Write it, whole or not at all."""
    write_atomically(file, (json.dumps(what.as_json(), ensure_ascii=False) + "\n").encode())


def recorded(
    file: Path | None, services: tuple[str, ...], bake: Callable[[], Released]
) -> Released:
    """Bake these services, and write a record of how that ended; `file`: None = nowhere.

    Raises what `bake` raises, or what failed in it, once that is recorded.
    """
    started = time.monotonic()
    released: Released | None = None
    error = ""
    try:
        released = bake()
        released.expect_all()
        return released
    except SlimbakeError as failure:
        error = "\n".join(filter(None, (failure.message, failure.hint)))
        raise
    finally:
        if file:
            made = Record(
                services=services,
                seconds=round(time.monotonic() - started, 1),
                error=error,
                failed=released.failed if released else services,
                held=tuple(image.target for image in released.on_registry) if released else (),
                images=released.measurement.images if released else (),
            )
            write_record(file, made)
