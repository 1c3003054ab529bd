"""`slimbake sizes`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import (
    image_options,
    images,
    json_option,
    manifest_option,
    print_sizes,
    read,
    select,
    services_argument,
)


@click.command("sizes")
@services_argument
@manifest_option
@json_option
@click.option("--markdown", is_flag=True, help="Print a table in Markdown.")
@image_options
def command(services: tuple[str, ...], file: Path, as_json: bool, markdown: bool, tag: str, registry: str) -> None:
    """Measure the images that the engine holds: uncompressed, compressed, shared, own."""
    from slimbake import docker
    from slimbake.errors import SetupError
    from slimbake.measure import measure
    from slimbake.release import MEASURED

    manifest, plan = read(file)
    references = images(plan, registry, tag)
    names = {name: references[name] for name in select(plan, services)}
    client = docker.client()
    if missing := [name for name, reference in names.items() if not client.image.exists(reference)]:
        raise SetupError(f"the engine has no image of: {', '.join(missing)}", "`slimbake bake` builds them")
    found = {name: client.image.inspect(reference).id for name, reference in names.items()}
    print_sizes(measure(found, manifest.file.parent / MEASURED), as_json, markdown)
