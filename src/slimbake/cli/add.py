"""`slimbake add`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.adopt.add import add
from slimbake.cli.common import console, manifest_option


@click.command("add")
@click.argument("name")
@manifest_option
@click.option("--base", help="The base to use. Default: the runtime.")
@click.option("--port", type=int, help="[default: the next after the highest in use]")
def command(name: str, file: Path, base: str | None, port: int | None) -> None:
    """Add a service: an entry in the manifest, and a folder with a small app and its smoke.

    A folder that is there stays as it is: its Dockerfile, its requirements and its program say what
    the entry is.
    """

    for line in add(file, name, base, port, console):
        click.echo(line)
