"""`slimbake logs`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read, select, services_argument
from slimbake.deploy import compose


@click.command(
    "logs",
    epilog=examples("slimbake logs api", "slimbake logs --follow"),
)
@services_argument
@manifest_option
@click.option("--follow", is_flag=True, help="Keep showing new output.")
def command(services: tuple[str, ...], file: Path, follow: bool) -> None:
    """Show the output of services that `up` started."""
    project = read(file)
    if services:
        select(project.plan, services)
    with compose.started(project) as together:
        if not together.states():
            console.say("no container of this project is there: `slimbake up` starts the services")
        sys.exit(together.logs(services, follow))
