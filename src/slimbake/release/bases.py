"""Wave 1 of a pipeline: what services share is built once, and pushed for every job that stands on
it.
"""

from __future__ import annotations

from dataclasses import replace

from slimbake.console import Console
from slimbake.project import Project
from slimbake.release.place import BakeRequest
from slimbake.release.release import Released, release


def bases(project: Project, request: BakeRequest, console: Console) -> Released:
    """Release what services share, each after its own.

    An exported model or a reference that fails is reported and left out: whoever needs it fails by
    itself, and no other. Raises as `release` does, and BuildError where a base fails; what was
    pushed by then stays, and is not built again.
    """
    released = release(project, request, console)
    kinds = {project.plan.target(name).kind for name in released.failed}
    if kinds & {"runtime", "base"}:
        released.expect_all()
    for error in released.failures:
        console.say(str(error))
    return replace(released, failed=(), failures=())
