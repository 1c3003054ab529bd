"""`slimbake bake --watch` and `slimbake up --watch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from slimbake.build.place import BakeRequest
from slimbake.build.release import release
from slimbake.build.session import Session
from slimbake.build.watch import changes_of, watch
from slimbake.cli.common import console, image_names, print_released, read
from slimbake.console.tables import Layout
from slimbake.deploy.watched import Watched
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


def up_and_watch(
    file: Path,
    services: Callable[[Plan], tuple[str, ...]],
    request: BakeRequest,
    environment: Mapping[str, str],
) -> None:
    """Bake and start, then bring what is edited into the containers; ends with KeyboardInterrupt
    only, and leaves the containers with their images.
    """
    root = file.parent.resolve()
    changes = changes_of(root)
    next(changes)  # from here on no edit is missed
    with Session() as session:
        registry = request.registry or read(file).plan.registry

        def names(plan: Plan) -> Mapping[str, str]:
            return image_names(plan, registry, request.tag)

        asked = replace(request, registry=registry)
        watched = Watched(asked, names, environment, console, session)
        try:
            watch(lambda: read(file), watched.build, changes, root, console, services)
        finally:
            watched.end()
