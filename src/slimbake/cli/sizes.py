"""`slimbake sizes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from slimbake import docker
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    held_images,
    image_names,
    image_options,
    json_option,
    json_text,
    manifest_option,
    print_json,
    print_text,
    read,
    select,
    service_names,
    table_width,
)
from slimbake.config.naming import SIZES
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically
from slimbake.host.workspace import Workspace
from slimbake.images import report
from slimbake.images.measure import survey
from slimbake.plan.model import Plan
from slimbake.report.runtimes import runtime_lines


@click.command(
    "sizes",
    epilog=examples("slimbake sizes --by package", "slimbake sizes api python:3.11-slim"),
)
@click.argument("names", nargs=-1, metavar="[SERVICE|IMAGE]...", shell_complete=service_names)
@manifest_option
@json_option
@click.option(
    "--by",
    type=click.Choice(["image", "layer", "package"]),
    default="image",
    show_default=True,
    help="What a row of the table stands for.",
)
@click.option(
    "--record",
    "recorded",
    is_flag=True,
    help="Measure all services and variants that were baked, and write that to bake/sizes.json.",
)
@image_options
def command(
    names: tuple[str, ...],
    file: Path,
    as_json: bool,
    by: str,
    recorded: bool,
    tag: str,
    registry: str,
) -> None:
    """Measure images: uncompressed, compressed, shared and own bytes.

    Without a name, slimbake measures all services of the manifest. An IMAGE is the name of an image
    of the engine, with a '/' or ':' in it; `docker pull` and `docker load` bring others there. What
    is in a layer is read once and kept in .slimbake/layers.
    """
    if recorded and (names or not file.is_file()):
        raise UsageError("--record is of all services of a manifest", "name none")
    # An image needs no manifest; where there is one, its folder keeps what was read.
    workspace = Workspace(file.parent if file.is_file() else None, console)
    images = {}
    services = []
    for name in names:
        if "/" in name or ":" in name:
            images[name] = _identity(name)
        else:
            services.append(name)
    project = None
    if services or not names:
        project = read(file)
        images |= _built(project.plan, image_names(project.plan, registry, tag), services, recorded)
    surveyed = survey(images, workspace)
    sizes = report.sizes_json(surveyed)
    if recorded:
        write_atomically(file.parent / SIZES, f"{json_text(sizes)}\n".encode())
        console.say(f"recorded in {file.parent / SIZES}")
    if as_json:
        print_json(sizes)
        return
    print_text(report.sizes_text(surveyed, by, table_width()))
    if project and by == "image":
        for line in runtime_lines(project.plan, surveyed.measurement):
            print_text(line)


def _built(
    plan: Plan, references: Mapping[str, str], services: Sequence[str], every_variant: bool
) -> dict[str, str]:
    """Service or variant -> the engine's id of its image, of these services or, with none named, of
    all that were baked. Raises SetupError where a service that is named has no image, or none has.
    """
    names = plan.service_names if every_variant else services
    images = {name: references[name] for name in select(plan, tuple(names))}
    return held_images(images, optional=not services)


def _identity(image: str) -> str:
    """The id of an engine's image. Raises UsageError where the engine has none of that name."""
    engine_image = docker.find_image(image)
    if engine_image is None:
        raise UsageError(
            f"the engine has no image '{image}'", "`docker pull` and `docker load` bring it"
        )
    return engine_image.id
