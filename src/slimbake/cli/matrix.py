"""`slimbake matrix`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slimbake.cli.common import manifest_option, read, select, services_argument, variant_option


@click.command("matrix")
@services_argument
@variant_option
@manifest_option
def command(services: tuple[str, ...], variant: str, file: Path) -> None:
    """Print the jobs of a GitHub Actions matrix, as JSON on one line: of all services and variants or those named."""
    from slimbake.matrix import matrix

    _, plan = read(file)
    wanted = services if services or variant else tuple(service.service for service in plan.services)
    # No service at all is no error here: the workflow looks for an empty list.
    selected = select(plan, wanted, variant) if wanted or variant else ()
    click.echo(json.dumps(matrix(plan, selected), ensure_ascii=False))
