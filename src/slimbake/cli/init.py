"""`slimbake init`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, print_text


@click.command(
    "init",
    epilog=examples("slimbake init", "slimbake init --dry-run --compose deploy/compose.yaml"),
)
@manifest_option
@click.option(
    "--compose",
    multiple=True,
    metavar="FILE",
    help="Read this compose file instead of those found; repeatable.",
)
@click.option(
    "--service",
    default="",
    metavar="NAME",
    help="Take only this service; if the manifest exists, add it there.",
)
@click.option("--dry-run", is_flag=True, help="Print the manifest instead of writing it.")
def command(file: Path, compose: tuple[str, ...], service: str, dry_run: bool) -> None:
    """Write a manifest from the Dockerfiles, compose files and requirements of a repository.

    It changes no existing file. It lists what it could not carry over with file and line, and what
    to do. A service that it cannot read keeps its Dockerfile, and bakes with the others.
    """
    from slimbake.adopt.init import InitRequest, init, next_steps

    is_new = not file.exists() and not dry_run
    for line in init(file, InitRequest(compose, service, dry_run), console):
        print_text(line)
    if is_new:
        for line in next_steps(file.resolve()):
            print_text(line)
