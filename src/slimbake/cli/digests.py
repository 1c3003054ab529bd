"""`slimbake digests`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from slimbake.build.on_registry import released_digests
from slimbake.cli.commands import examples
from slimbake.cli.common import image_names, image_options, read, select, service_options
from slimbake.deploy.digests import FORMATS, Deployed
from slimbake.errors import UsageError
from slimbake.host.machine import machine


@click.command(
    "digests",
    epilog=examples("slimbake digests --tag v1", "slimbake digests api --format kustomize"),
)
@service_options
@image_options
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(FORMATS)),
    default="json",
    show_default=True,
    help="Output for this tool.",
)
def command(
    services: tuple[str, ...], file: Path, variant: str, tag: str, registry: str, form: str
) -> None:
    """Print the images that the registry has under a tag, by digest, for what deploys them."""
    project = read(file)
    if not (registry or project.manifest.registry):
        raise UsageError(
            f"{file.name} names no registry, so nothing is released",
            "add `registry:`, or --registry",
        )
    plan = project.plan
    names, chosen = image_names(plan, registry, tag), select(plan, services, variant)
    asked = {name: names[name] for name in plan.with_weights(chosen)}
    digests = released_digests(asked, str(machine().ca_bundle or ""))
    images = {
        target: Deployed(*name.rpartition(":")[::2], digests[target])
        for target, name in asked.items()
    }
    mounts = {each.service: each.weights for each in plan.services if each.weights}
    found = {
        name: replace(images[name], weights=images.get(mounts.get(name, ""))) for name in chosen
    }
    click.echo(FORMATS[form](found), nl=False)
