"""`slimbake layers`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, json_option, manifest_option, print_json, print_text, read
from slimbake.errors import SetupError
from slimbake.plan.graph import layers
from slimbake.project import Project
from slimbake.report.layers import layer_lines, layers_json


@click.command("layers", epilog=examples("slimbake layers", "slimbake layers --json"))
@manifest_option
@json_option
def command(file: Path, as_json: bool) -> None:
    """Show the layers of packages, in their order: what is in each, and what adds it.

    Sizes are those of the wheels. With --json each has its key, by which a registry has it, and its
    digest as a tar, if an image that was baked here has it: anyone who bakes it gets the same.
    """
    project = read(file)
    project.expect_fresh_locks()
    if as_json:
        print_json(layers_json(project.layering, _digests(project)))
        return
    for line in layer_lines(project.fleet, project.layering):
        print_text(line)


def _digests(project: Project) -> dict[str, str]:
    """The digests of layers as images have them that were baked here from what is here now: layer ->
    digest. None where no engine answers.
    """
    from slimbake import docker
    from slimbake.release.inputs import last_images, outdated

    images = last_images(project.workspace)
    digests: dict[str, str] = {}
    try:
        old = outdated(project, images, console)
        for service, image in images.items():
            held = None if service in old else docker.find_image(image)
            names = layers(project.plan, service, len(held.layers) if held else 0)
            if held and len(names) == len(held.layers):
                digests |= dict(zip(names, held.layers, strict=True))
    except SetupError as error:
        console.say(f"no digests: {error.message}")
    return digests
