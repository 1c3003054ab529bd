"""`slimbake sbom`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake import docker
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FOLDER,
    image_names,
    image_options,
    manifest_option,
    read,
    select,
    services_argument,
)
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically
from slimbake.release.sbom import file_name, sbom


@click.command(
    "sbom",
    epilog=examples("slimbake sbom api", "slimbake sbom --output sboms"),
)
@services_argument
@manifest_option
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    help="A folder: SERVICE.cdx.json for each.",
)
@image_options
def command(
    services: tuple[str, ...],
    file: Path,
    output: Path | None,
    tag: str,
    registry: str,
) -> None:
    """Print what an image holds, as CycloneDX JSON: its locked packages, Debian's, and CPython."""

    project = read(file)
    plan = project.plan
    names = select(plan, services)
    if output is None and len(names) > 1:
        raise UsageError(
            "stdout takes the SBOM of one service", "name one, or a folder: --output FOLDER"
        )
    references = image_names(plan, registry, tag)
    docker.image_ids({name: references[name] for name in names})
    if output is None:
        click.echo(sbom(plan, names[0], references[names[0]], project.root), nl=False)
    else:
        for name in names:
            text = sbom(plan, name, references[name], project.root)
            write_atomically(output / file_name(name), text.encode())
