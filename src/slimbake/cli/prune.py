"""`slimbake prune`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import manifest_option, read
from slimbake.deploy import compose
from slimbake.deploy.containers import prune
from slimbake.docker.compose import FLOOR, compose_version
from slimbake.lock.wheelhouse.store import store


@click.command(
    "prune",
    epilog=examples("slimbake prune", "slimbake prune --all"),
)
@manifest_option
@click.option(
    "--wheelhouse",
    is_flag=True,
    help="Also every wheel and Debian package that was fetched, of all projects.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also the tagged images and the containers of this project.",
)
def command(file: Path, everything: bool, wheelhouse: bool) -> None:
    """Remove what slimbake left in the engine for this project, and never what is another's."""

    project = read(file)
    if everything and compose_version() >= FLOOR:  # without it, nothing was started
        with compose.started(project) as together:
            together.down(volumes=False)
    for name in prune(project.plan.project, project.root, everything):
        click.echo(f"removed {name}")
    if wheelhouse:
        click.echo(f"removed {store().clear() / 1e6:,.1f} MB of the wheelhouse")
