"""`slimbake logs`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slimbake.cli.common import manifest_option, read, select, services_argument
from slimbake.deploy import compose


@click.command("logs")
@services_argument
@manifest_option
@click.option("--follow", is_flag=True, help="Show what is written from now on, too.")
def command(services: tuple[str, ...], file: Path, follow: bool) -> None:
    """Show what the services that `up` started have written."""
    project = read(file)
    if services:
        select(project.plan, services)
    with compose.started(project) as together:
        sys.exit(together.logs(services, follow))
