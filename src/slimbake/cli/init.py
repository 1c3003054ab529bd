"""`slimbake init`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import console, manifest_option


@click.command("init")
@manifest_option
@click.option(
    "--compose",
    multiple=True,
    metavar="FILE",
    help="Read this compose file, and none that it would find. Again for more.",
)
@click.option("--service", default="", metavar="NAME", help="Adopt this service alone.")
@click.option("--dry-run", is_flag=True, help="Print the manifest, and write nothing.")
def command(file: Path, compose: tuple[str, ...], service: str, dry_run: bool) -> None:
    """Write a manifest from the Dockerfiles, compose files and requirements that are there.

    It changes no file. What it could not carry over is listed with its file and line, and what to
    do. A service that it cannot read keeps its Dockerfile, and bakes with the others.
    """
    from slimbake.adopt.init import InitRequest, init

    for line in init(file, InitRequest(compose, service, dry_run), console):
        click.echo(line)
