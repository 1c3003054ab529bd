"""`slimbake compose`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import manifest_option, read
from slimbake.deploy import compose


@click.command(
    "compose",
    epilog=examples("slimbake compose", "slimbake compose --manifest deploy/services.yaml"),
)
@manifest_option
def command(file: Path) -> None:
    """Write the fleet for Docker Compose, and say how a compose file of your own takes it."""
    project = read(file)
    compose.written(project)
    click.echo("\n".join(compose.joining(project)))
