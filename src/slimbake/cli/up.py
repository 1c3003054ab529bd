"""`slimbake up`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import (
    console,
    image_names,
    image_options,
    manifest_option,
    read,
    select,
    services_argument,
)
from slimbake.deploy import containers


@click.command("up")
@services_argument
@manifest_option
@image_options
def command(services: tuple[str, ...], file: Path, tag: str, registry: str) -> None:
    """Run the services that listen on a port: one network, no root, read-only roots, no
    capabilities.
    """

    plan = read(file).plan
    started = containers.up(plan, select(plan, services), image_names(plan, registry, tag), console)
    commands = [service.service for service in plan.services if service.port is None]
    running = ", ".join(service.service for service in started) or "nothing"
    click.echo(f"on the network {plan.project}: {running}; `slimbake down` ends it all")
    if commands:
        click.echo(f"commands, for `slimbake run NAME [ARGUMENT]...`: {', '.join(commands)}")
