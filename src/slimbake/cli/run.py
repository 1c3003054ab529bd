"""`slimbake run`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slimbake.cli.common import image_names, image_options, manifest_option, read, select
from slimbake.deploy import containers


@click.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("service")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@manifest_option
@image_options
def command(service: str, arguments: tuple[str, ...], file: Path, tag: str, registry: str) -> None:
    """Run one service's command on the fleet's network, with these arguments and this stdin."""

    plan = read(file).plan
    select(plan, (service,))
    sys.exit(containers.run(plan, service, image_names(plan, registry, tag)[service], arguments))
