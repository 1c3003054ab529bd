"""`slimbake export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    image_names,
    image_options,
    manifest_option,
    read,
    select,
    service_names,
)
from slimbake.deploy.digests import FORMATS, Deployed
from slimbake.errors import UsageError
from slimbake.project import Project

COMPOSE = "compose"


@click.command(
    "export",
    epilog=examples("slimbake export compose", "slimbake export kustomize api --tag v1"),
)
@click.argument("what", type=click.Choice((COMPOSE, *FORMATS)))
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=service_names)
@manifest_option
@image_options
def command(what: str, services: tuple[str, ...], file: Path, tag: str, registry: str) -> None:
    """Write the services for what deploys them.

    compose: write the fleet for Docker Compose, and say how a compose file of your own takes it.

    All others print the images that the registry has under a tag, by digest: digests as JSON, env,
    helm, kubernetes and kustomize for these tools.
    """
    project = read(file)
    if what == COMPOSE:
        from slimbake.deploy import compose

        compose.written(project)
        click.echo("\n".join(compose.joining(project)))
        return
    if not (registry or project.manifest.registry):
        raise UsageError(
            f"{file.name} names no registry, so nothing is released",
            "add `registry:`, or --registry",
        )
    names = image_names(project.plan, registry, tag)
    click.echo(FORMATS[what](_deployed(project, select(project.plan, services), names)), nl=False)


def _deployed(
    project: Project, services: tuple[str, ...], names: dict[str, str]
) -> dict[str, Deployed]:
    """The services' images as the registry has them."""
    from slimbake.build.on_registry import released_digests
    from slimbake.host.machine import machine

    plan = project.plan
    asked = {name: names[name] for name in plan.with_weights(services)}
    digests = released_digests(asked, str(machine().ca_bundle or ""))
    images = {
        target: Deployed(*name.rpartition(":")[::2], digests[target])
        for target, name in asked.items()
    }
    mounts = {each.service: each.weights for each in plan.services if each.weights}
    return {
        name: replace(images[name], weights=images.get(mounts.get(name, ""))) for name in services
    }
