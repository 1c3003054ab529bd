"""`slimbake down`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read
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
        if killed := together.down(volumes):
            console.say(
                f"{', '.join(killed)}: did not end at the stop signal, so Docker waited, 10 s by"
                " default, and killed it: handle SIGTERM, begin the command with `exec`, or"
                ' put tini in the image (`system: [tini]`) and use `entrypoint: [tini, "--"]`'
            )
