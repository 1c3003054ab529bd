"""`slimbake schema`."""

from __future__ import annotations

import click

from slimbake.data import schema_text


@click.command("schema")
def command() -> None:
    """Print the manifest's JSON Schema, for editors and other tools."""
    click.echo(schema_text(), nl=False)
