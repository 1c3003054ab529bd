"""`slimbake probes`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import manifest_option, read, select, services_argument
from slimbake.deploy.probes import probes


@click.command(
    "probes",
    epilog=examples("slimbake probes", "slimbake probes api > probes.yaml"),
)
@services_argument
@manifest_option
def command(services: tuple[str, ...], file: Path) -> None:
    """Print healthchecks as Kubernetes probes, in YAML: Kubernetes ignores those of images."""
    plan = read(file).plan
    chosen = select(plan, services)
    click.echo(probes(each for each in plan.services if each.service in chosen), nl=False)
