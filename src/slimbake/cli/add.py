"""`slimbake add`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.adopt.add import add
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    completed,
    console,
    manifest_option,
)


@click.command(
    "add",
    epilog=examples("slimbake add search --port 8010", "slimbake add worker --base web"),
)
@click.argument("name")
@manifest_option
@click.option(
    "--base",
    metavar="NAME",
    shell_complete=completed(lambda fleet: (base.name for base in fleet.bases)),
    help="Base of the service.  [default: none]",
)
@click.option("--port", type=int, help="Port of the service.  [default: the next free one]")
def command(name: str, file: Path, base: str | None, port: int | None) -> None:
    """Add a service: an entry in the manifest, and a folder with a small app and its smoke.

    For a folder that has a Dockerfile, run `slimbake init --service NAME`.
    """

    for line in add(file, name, base, port, console):
        click.echo(line)
