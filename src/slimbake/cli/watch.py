"""`slimbake bake --watch`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from slimbake.build.command import Options
from slimbake.build.release import Release, release
from slimbake.build.watch import changes_of, watch
from slimbake.cli.common import console, print_released, read
from slimbake.plan.model import Plan


def bake_and_watch(
    file: Path,
    services: Callable[[Plan], tuple[str, ...]],
    options: Options,
    names: Release,
    as_json: bool,
) -> None:
    """Bake, then bake what edits touch; ends with KeyboardInterrupt only."""
    root = file.parent.resolve()
    registry = names.registry

    def build(chosen: tuple[str, ...]) -> None:
        manifest, plan = read(file)
        names_now = replace(names, registry=registry or plan.registry)
        print_released(release(manifest, chosen, options, names_now, console), as_json)

    changes = changes_of(root)
    next(changes)  # from here on no edit is missed
    watch(lambda: read(file), build, changes, root, console, services)
