"""`slimbake layers`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, json_option, manifest_option, print_json, print_text, read
from slimbake.errors import SetupError
from slimbake.images.measure import last_measurement
from slimbake.images.sizes import MeasuredLayer
from slimbake.project import Project
from slimbake.report.layers import laid_layers, layer_lines, layers_json


@click.command("layers", epilog=examples("slimbake layers", "slimbake layers --json"))
@manifest_option
@json_option
def command(file: Path, as_json: bool) -> None:
    """Show the layers of packages, in their order: what is in each, and what adds it.

    A size is what a bake on this machine measured, uncompressed; of a layer that was not baked here
    yet it is that of its wheels. With --json each layer has its key, by which a registry has it, and
    its digest as a tar, if it was baked here: anyone who bakes it gets the same.
    """
    project = read(file)
    project.expect_fresh_locks()
    measured = _measured(project)
    if as_json:
        print_json(layers_json(project.layering, measured))
        return
    for line in layer_lines(project.fleet, project.layering, measured):
        print_text(line)


def _measured(project: Project) -> dict[str, MeasuredLayer]:
    """The layers of images that were baked here from what is here now, by the names of their
    targets.
    """
    from slimbake.release.inputs import last_images, outdated

    images = last_images(project.workspace)
    measured: dict[str, MeasuredLayer] = {}
    try:
        old = outdated(project, images, console)
    except SetupError as error:
        console.say(f"no layer counts as measured: {error.message}")
        return {}
    for image in last_measurement(images, project.workspace).images:
        if image.name in old:
            continue
        measured |= dict(laid_layers(project.plan, image))
    return measured
