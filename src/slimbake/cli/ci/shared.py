"""`slimbake ci shared`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.ci.job import request
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FILE,
    console,
    manifest_option,
    platform_option,
    read,
    select,
    services_argument,
)
from slimbake.release.bases import bases
from slimbake.release.pushed import write_pushed


@click.command(
    "shared",
    epilog=examples("slimbake ci shared --digests shared.json", "slimbake ci shared api"),
)
@services_argument
@manifest_option
@click.option(
    "--digests",
    type=FILE,
    help="Write the digests of the pushed images to FILE, for `slimbake ci job --shared`.",
)
@platform_option
def command(services: tuple[str, ...], file: Path, digests: Path | None, platform: str) -> None:
    """Build and push once what services share: the runtime, bases and exported models.

    Images that the registry has are skipped. $REGISTRY and $TAG name the images.
    """

    project = read(file)
    plan = project.plan
    chosen = select(plan, services or tuple(service.service for service in plan.services))
    targets = tuple(target.name for target in plan.shared_by(chosen))
    found = bases(project, request(plan, targets, platform), console)
    if digests:
        write_pushed(digests, found)
    for name, reference in found.items():
        click.echo(f"{name} {reference}")
