"""Wave 1 of a pipeline: what services share is built once and pushed, and a file tells every job
that stands on it: target -> REPOSITORY@DIGEST.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from slimbake.console import Console
from slimbake.errors import UsageError
from slimbake.host.files import read_json, write_atomically
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.release.place import BakeRequest
from slimbake.release.release import Released, release

_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")


def release_shared(project: Project, request: BakeRequest, console: Console) -> Released:
    """Release what services share, each after its own.

    An exported model or a reference that fails is reported and left out: whoever needs it fails by
    itself, and no other. Raises as `release` does, and BuildError where a base fails; what was
    pushed by then stays, and is not built again.
    """
    released = release(project, request, console)
    if {project.plan.target(name).kind for name in released.failed} & {"runtime", "base"}:
        released.expect_all()
    for error in released.failures:
        console.say(str(error))
    return replace(released, failed=(), failures=())


def write_digests(file: Path, pushed: Mapping[str, str]) -> None:
    """Write the file, whole or not at all."""
    write_atomically(file, (json.dumps(pushed, indent=1) + "\n").encode())


def read_digests(file: Path, plan: Plan) -> dict[str, str]:
    """What the file says. Raises UsageError where it is no such file, or names what is not in the
    plan.
    """
    hint = "`slimbake ci shared --digests FILE` writes one"
    said = read_json(file, lambda said: said, hint)
    shared = {target.name for target in plan.targets if target.shared}
    if not isinstance(said, dict) or not all(
        isinstance(v, str) and _REFERENCE.fullmatch(v) for v in said.values()
    ):
        raise UsageError(f"{file} holds something else than images by their digests", hint)
    if unknown := sorted(set(said) - shared):
        raise UsageError(
            f"{file} names what services of {plan.manifest} do not share: {', '.join(unknown)}",
            "build them again",
        )
    return said
