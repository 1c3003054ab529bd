"""`slimbake up`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    env_option,
    image_names,
    image_options,
    manifest_option,
    read,
    select,
    services_argument,
)
from slimbake.deploy import compose
from slimbake.plan.model import Plan


def _baked(plan: Plan, services: tuple[str, ...]) -> tuple[str, ...]:
    """What `--watch` bakes: these services, and what `up` starts for them."""
    chosen = select(plan, services)
    starting = (service.service for service in plan.starting(chosen))
    return tuple(dict.fromkeys((*chosen, *starting)))


def _watch(
    file: Path, services: tuple[str, ...], registry: str, tag: str, given: Mapping[str, str]
) -> None:
    """Bake and start, then bring what is edited into the containers; ends with KeyboardInterrupt."""
    from slimbake.deploy.watch import Watched, changes_of, watch
    from slimbake.release.place import BakeRequest

    root = file.parent.resolve()
    changes = changes_of(root)
    next(changes)  # from here on no edit is missed
    registry = registry or read(file).plan.registry
    request = BakeRequest(targets=(), registry=registry, tag=tag, keep_going=True)
    watched = Watched(request, lambda plan: image_names(plan, registry, tag), given, console)
    try:
        watch(lambda: read(file), lambda plan: _baked(plan, services), watched, changes, root)
    finally:
        console.say("containers keep the code that was synced: `slimbake up` starts the images")


@click.command(
    "up",
    epilog=examples("slimbake up", "slimbake up api storage --env LOG_LEVEL=debug"),
)
@services_argument
@manifest_option
@image_options
@env_option
@click.option(
    "--watch",
    is_flag=True,
    help="Bake first; then sync edits of code into the containers, and bake what else an edit"
    " touches, until Ctrl-C.",
)
def command(
    services: tuple[str, ...],
    file: Path,
    tag: str,
    registry: str,
    environment: tuple[str, ...],
    watch: bool,
) -> None:
    """Start the services with Docker Compose, and wait until they are healthy: one network, no
    root, read-only roots, no capabilities. What `depends_on` names starts first, and so does what
    `start: {with: ...}` names of your compose file.
    """

    given = compose.variables(environment)
    if watch:
        _watch(file, services, registry, tag, given)
        return
    project = read(file)
    plan = project.plan
    images = image_names(plan, registry, tag)
    started, beside = compose.up(project, select(plan, services), images, given, console)
    click.echo(
        f"up: {', '.join(started) or 'nothing'};"
        " `slimbake down` stops them all and removes their containers"
    )
    if beside:
        click.echo(f"with them, of your own compose file: {', '.join(beside)}")
    tools = [service.service for service in plan.services if service.by_hand]
    if tools:
        click.echo(f"for `slimbake run NAME [ARGUMENT]...`: {', '.join(tools)}")
