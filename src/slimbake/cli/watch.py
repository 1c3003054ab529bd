"""`slimbake bake --watch`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from slimbake.build.place import BakeRequest
from slimbake.build.release import release
from slimbake.build.session import Session
from slimbake.build.watch import changes_of, watch
from slimbake.cli.common import console, print_released, read
from slimbake.console.tables import Layout
from slimbake.errors import SlimbakeError
from slimbake.plan.model import Plan
from slimbake.project import Project


def bake_and_watch(
    file: Path,
    services: Callable[[Plan], tuple[str, ...]],
    request: BakeRequest,
    as_json: bool,
    layout: Layout,
) -> None:
    """Bake, then bake what edits touch; ends with KeyboardInterrupt only. `request`: of which the
    registry may be empty, which is the manifest's.
    """
    root = file.parent.resolve()

    def build(project: Project, chosen: tuple[str, ...]) -> None:
        session.wait()
        asked = replace(request, targets=chosen, registry=request.registry or project.plan.registry)
        try:
            released = release(project, asked, console, session)
            if released.names or not released.failures:
                print_released(released, as_json, layout)
            released.expect_all()
        except (SlimbakeError, OSError):
            session.forget()
            raise

    changes = changes_of(root)
    next(changes)  # from here on no edit is missed
    with Session() as session:
        watch(lambda: read(file), build, changes, root, console, services)
