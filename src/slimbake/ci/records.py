"""What the jobs of a run tell one another and the next run, in files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from slimbake.ci.model import Record, parse_measurement, parse_record
from slimbake.errors import SlimbakeError, UsageError
from slimbake.host.files import read_json, write_atomically
from slimbake.host.workspace import Workspace
from slimbake.images.sizes import Measurement
from slimbake.plan.model import Plan
from slimbake.release.release import Released

KNOWN = "known"  # in the workspace, which pipelines keep from run to run
RECORDS = "records"  # a folder of it, which jobs of a pipeline pass on
PLAN = "plan"  # the matrix, beside the records of its jobs
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")


def read_known(workspace: Workspace) -> Measurement:
    """What images weighed at the last run on the main branch; nothing where it left nothing."""
    return workspace.read(KNOWN, parse_measurement) or Measurement(())


def records(paths: Iterable[Path]) -> tuple[Record, ...]:
    """The records in these files and folders. Raises UsageError for a file that is none."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(path.glob("**/*.json"))
        else:
            files.append(path)
    hint = "`slimbake ci job` writes such files"
    jobs = [file for file in files if file.name != f"{PLAN}.json"]
    return tuple(read_json(file, parse_record, hint) for file in jobs)


def record_file(workspace: Workspace, name: str) -> Path:
    """Where a job of a pipeline leaves its record, or `ci plan` its matrix."""
    return workspace.path(f"{RECORDS}/{name}.json")


def shared_images(file: Path, plan: Plan) -> dict[str, str]:
    """What the first wave pushed, by its record. Raises UsageError where it left none, or one that
    is not of this plan.
    """
    hint = "`slimbake ci shared` writes it in the first wave: run all jobs again"
    pushed = dict(read_json(file, parse_record, hint).pushed)
    shared = {target.name for target in plan.targets if target.shared}
    for name, image in pushed.items():
        if name not in shared or not _REFERENCE.fullmatch(image):
            raise UsageError(f"{file} is not of what services of {plan.manifest} share", hint)
    return pushed


def recorded(
    file: Path | None, services: tuple[str, ...], bake: Callable[[], Released]
) -> Released:
    """Bake these services, and write a record of how that ended; `file`: None = nowhere.

    Raises what `bake` raises, once that is recorded.
    """
    record = Record(services=services, failed=services)
    try:
        released = bake()
        record = Record(
            services=services,
            error=_words(released.failure),
            failed=tuple(released.failures),
            held=tuple(image.target for image in released.on_registry),
            images=released.measurement.images,
            pushed=released.pushed,
        )
        return released
    except SlimbakeError as failure:
        record = replace(record, error=_words(failure))
        raise
    finally:
        if file:
            text = json.dumps(record.as_json(), ensure_ascii=False)
            write_atomically(file, f"{text}\n".encode())


def _words(failure: SlimbakeError | None) -> str:
    if failure is None:
        return ""
    return f"{failure.message}\n{failure.hint}".strip()
