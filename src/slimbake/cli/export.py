"""`slimbake export`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    image_names,
    image_options,
    manifest_option,
    print_json,
    read,
    select,
    services_argument,
)
from slimbake.errors import UsageError


@click.command(
    "export",
    epilog=examples("slimbake export compose", "slimbake export digests api --tag v1"),
)
@click.argument("what", metavar="compose|digests", type=click.Choice(("compose", "digests")))
@services_argument
@manifest_option
@image_options
def command(what: str, services: tuple[str, ...], file: Path, tag: str, registry: str) -> None:
    """Write the services for what deploys them.

    compose: write the fleet for Docker Compose, and say how a compose file of your own takes it.

    digests: print the images that the registry has under a tag, by digest, as JSON.
    """
    project = read(file)
    if what == "compose":
        from slimbake.deploy.compose import joining, written

        written(project)
        click.echo("\n".join(joining(project)))
        return
    from slimbake.ci.released import deployed
    from slimbake.host.machine import machine
    from slimbake.release.on_registry import released_images

    plan = project.plan
    if not (registry or project.manifest.registry):
        raise UsageError(
            f"{file.name} names no registry, so nothing is released",
            "add `registry:`, or --registry",
        )
    chosen, names = select(plan, services), image_names(plan, registry, tag)
    names = {name: names[name] for name in plan.with_weights(chosen)}
    images = released_images(names, str(machine().ca_bundle or ""))
    digests = {image.target: image.digest for image in images}
    print_json(deployed(plan, chosen, names, digests))
