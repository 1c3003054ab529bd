"""`slimbake init`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, print_text
from slimbake.errors import SetupError


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
    """Write a manifest from the Dockerfiles and compose files of a repository.

    It writes nothing else and changes no file. It says what becomes of each service: slimbake
    builds it, or its Dockerfile is kept and baked beside the others, with the line that keeps it.
    """
    from slimbake.adopt.init import InitRequest, init
    from slimbake.docker.engine import engine_platform

    platform = ""
    with contextlib.suppress(SetupError):  # `init` needs no engine
        platform = engine_platform()
    for line in init(file, InitRequest(compose, service, dry_run, platform), console):
        print_text(line)
