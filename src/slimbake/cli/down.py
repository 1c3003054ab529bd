"""`slimbake down`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import manifest_option, read
from slimbake.deploy import compose


@click.command(
    "down",
    epilog=examples("slimbake down", "slimbake down --volumes"),
)
@manifest_option
@click.option("--volumes", is_flag=True, help="Remove the services' data too.")
def command(file: Path, volumes: bool) -> None:
    """Remove the containers of this project, also those that `docker compose` started in this folder;
    data in volumes stays.
    """
    with compose.started(read(file)) as together:
        together.down(volumes)
