"""`slimbake schema`."""

from __future__ import annotations

import click

from slimbake.cli.commands import examples
from slimbake.config import MANIFEST_SCHEMA


@click.command(
    "schema",
    epilog=examples("slimbake schema", "slimbake schema > services.schema.json"),
)
def command() -> None:
    """Print the manifest's JSON Schema, for editors and other tools."""

    click.echo(MANIFEST_SCHEMA.read_text("utf-8"), nl=False)
