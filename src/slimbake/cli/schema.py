"""`slimbake schema`."""

from __future__ import annotations

import click

from slimbake.config.data import CATALOGUE, MANIFEST, schema_text


@click.command("schema")
@click.option("--passes", is_flag=True, help="That of passes.yaml instead.")
def command(passes: bool) -> None:
    """Print the manifest's JSON Schema, for editors and other tools."""
    click.echo(schema_text(CATALOGUE if passes else MANIFEST), nl=False)
