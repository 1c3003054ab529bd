"""`slimbake down`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import manifest_option, read
from slimbake.deploy import containers


@click.command("down")
@manifest_option
@click.option("--volumes", is_flag=True, help="Remove the services' data too.")
def command(file: Path, volumes: bool) -> None:
    """End what `up` started; data in volumes stays."""

    plan = read(file).plan
    for name in containers.down(plan, volumes):
        click.echo(f"removed {name}")
