"""What the jobs of a run tell one another and the next run, in files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from slimbake.ci.model import Record, parse_measurement, parse_record
from slimbake.errors import SlimbakeError
from slimbake.host.files import read_json, write_atomically
from slimbake.host.workspace import Workspace
from slimbake.images.sizes import Measurement
from slimbake.release.release import Released

KNOWN = "known"  # in the workspace, which pipelines keep from run to run


def read_known(workspace: Workspace) -> Measurement:
    """What images weighed at the last run on the main branch; nothing where it left nothing."""
    return workspace.read(KNOWN, parse_measurement) or Measurement(())


def records(paths: Iterable[Path]) -> tuple[Record, ...]:
    """The records in these files and folders. Raises UsageError for a file that is none."""
    files = [
        f for path in paths for f in (sorted(path.glob("**/*.json")) if path.is_dir() else [path])
    ]
    hint = "`slimbake bake --record` writes such files"
    return tuple(read_json(file, parse_record, hint) for file in files)


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
            record = Record(
                services=services,
                seconds=round(time.monotonic() - started, 1),
                error=error,
                failed=released.failed if released else services,
                held=tuple(image.target for image in released.on_registry) if released else (),
                images=released.measurement.images if released else (),
            )
            text = json.dumps(record.as_json(), ensure_ascii=False)
            write_atomically(file, f"{text}\n".encode())
