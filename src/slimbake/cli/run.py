"""`slimbake run`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    arguments_argument,
    console,
    env_option,
    image_names,
    image_options,
    manifest_option,
    read,
    select,
    service_names,
)
from slimbake.deploy import compose


@click.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples("slimbake run client", "slimbake run client search 'a question'"),
)
@click.argument("service", shell_complete=service_names)
@arguments_argument
@manifest_option
@image_options
@env_option
def command(
    service: str,
    arguments: tuple[str, ...],
    file: Path,
    tag: str,
    registry: str,
    environment: tuple[str, ...],
) -> None:
    """Run one service on the fleet's network, with these arguments and this stdin."""

    project = read(file)
    select(project.plan, (service,))
    images = image_names(project.plan, registry, tag)
    given = compose.variables(environment)
    sys.exit(compose.run(project, service, images, given, arguments, console))
