"""`slimbake schema`."""

from __future__ import annotations

import click

from slimbake.catalogue.read import PASSES_SCHEMA
from slimbake.cli.commands import examples
from slimbake.config import MANIFEST_SCHEMA


@click.command(
    "schema",
    epilog=examples("slimbake schema > services.schema.json", "slimbake schema --passes"),
)
@click.option("--passes", is_flag=True, help="That of passes.yaml instead.")
def command(passes: bool) -> None:
    """Print the manifest's JSON Schema, for editors and other tools."""

    click.echo((PASSES_SCHEMA if passes else MANIFEST_SCHEMA).read_text("utf-8"), nl=False)
