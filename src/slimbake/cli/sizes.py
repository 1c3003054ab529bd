"""`slimbake sizes`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    held_images,
    image_names,
    image_options,
    json_option,
    layout,
    manifest_option,
    print_json,
    print_text,
    read,
    record,
    select,
    service_names,
)
from slimbake.config.naming import SIZES
from slimbake.errors import UsageError
from slimbake.host.files import read_json
from slimbake.host.workspace import Workspace
from slimbake.images import Engine, Source, opened, report, this_platform
from slimbake.images.measured import remember, stored
from slimbake.images.model import address
from slimbake.images.report import changes
from slimbake.images.survey import survey
from slimbake.lock.locks import locked_pins
from slimbake.project import Project
from slimbake.report.hints import requested, size_hints


@click.command(
    "sizes",
    epilog=examples("slimbake sizes --by package", "slimbake sizes registry://ghcr.io/a/b:v1"),
)
@click.argument("names", nargs=-1, metavar="[SERVICE|IMAGE]...", shell_complete=service_names)
@manifest_option
@json_option
@click.option(
    "--by",
    type=click.Choice(["image", "layer", "package", "directory"]),
    default="image",
    show_default=True,
    help="What a row of the table stands for.",
)
@click.option(
    "--record",
    "recorded",
    is_flag=True,
    help="Measure all services and variants that were baked, as gzip and zstd too, which takes"
    " minutes the first time, and write that to bake/sizes.json.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show what changed since FILE, an earlier `sizes --json`.",
)
@image_options
def command(
    names: tuple[str, ...],
    file: Path,
    as_json: bool,
    by: str,
    recorded: bool,
    against: Path | None,
    tag: str,
    registry: str,
) -> None:
    """Measure images: uncompressed, compressed, shared and own bytes, and files that are stored twice.

    Without a name, slimbake measures all services of the manifest. An IMAGE is registry://HOST/NAME:TAG, an OCI
    layout (a folder or file as a path, or oci-layout://PATH[:TAG]), or the name of an image of the
    engine with a '/' or ':' in it. What is in a layer is read once and kept in .slimbake/layers.
    """

    earlier = (
        read_json(against, dict, "`slimbake sizes --json > FILE` writes one") if against else None
    )
    if recorded and (names or not file.is_file()):
        raise UsageError("--record is of all services of a manifest", "name none")
    # Images that are named by their address need no manifest; where there is one, its folder keeps
    # what was read.
    workspace = Workspace(file.parent if file.is_file() else None, console)
    project = read(file) if _services(names) or not names else None
    with contextlib.ExitStack() as stack:
        wanted = _sources(names, project, registry, tag, workspace, recorded)
        sources = [stack.enter_context(source) for source in wanted]
        found = survey(sources, workspace, compress=recorded)
    remember(found.measurement, workspace)
    made = report.sizes_json(found)
    if recorded:
        record(made, file.parent / SIZES)
    compared = changes(earlier, made, str(against)) if against else None
    if as_json:
        print_json(made if compared is None else {**made, "against": compared.as_json()})
        return
    print_text(report.sizes_text(found, by, compared, layout()))
    if project:
        pins = locked_pins(project.fleet, project.locks)
        for line in requested(project.fleet, {i.name for i in found.measurement.images}):
            print_text(line)
        for line in size_hints(project.fleet, project.plan, pins, found.measurement):
            print_text(f"hint: {line}")


def _services(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        name for name in names if not ("/" in name or ":" in name or name.endswith(".tar"))
    )


def _sources(
    names: tuple[str, ...],
    project: Project | None,
    registry: str,
    tag: str,
    workspace: Workspace,
    recorded: bool,
) -> Iterator[contextlib.AbstractContextManager[Source]]:
    """What is asked for: images by their address, and services' images in the engine."""

    services = _services(names)
    for name in names:
        if name not in services:
            yield opened(address(name), this_platform())
    if project:
        references = image_names(project.plan, registry, tag)
        every = tuple(each.service for each in project.plan.services)  # all variants
        wanted = select(project.plan, every if recorded else services)
        chosen = {name: references[name] for name in wanted}
        yield _engine(chosen, workspace, every=not services)


@contextlib.contextmanager
def _engine(names: dict[str, str], workspace: Workspace, *, every: bool) -> Iterator[Source]:
    """The services' images in the engine, which saves them only if something is to be read that is
    not known.
    """

    ids = held_images(names, every=every)
    with contextlib.closing(Engine(ids, this_platform())) as engine:
        yield Source(stored(ids, workspace) or engine.images, engine)
