"""`slimbake ci shared`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.build import pushed
from slimbake.build.bases import bases
from slimbake.build.place import BakeRequest
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FILE,
    console,
    image_options,
    json_option,
    manifest_option,
    print_json,
    read,
    select,
    services_argument,
)
from slimbake.errors import UsageError


@click.command(
    "shared",
    epilog=examples(
        "slimbake ci shared --push --missing --digests shared.json", "slimbake ci shared api --push"
    ),
)
@services_argument
@manifest_option
@json_option
@click.option(
    "--push",
    is_flag=True,
    help="Push the images; required.",
)
@click.option("--missing", is_flag=True, help="Skip images that are already in the registry.")
@click.option(
    "--digests",
    type=FILE,
    help="Write the digests of the pushed images to FILE, for `bake --shared`.",
)
@click.option(
    "--platform", default="", help="Build for this platform only.  [default: the manifest's]"
)
@image_options
@click.option(
    "--frozen",
    is_flag=True,
    help="Fail on stale locks or generated files instead of updating them, as in CI.",
)
def command(
    services: tuple[str, ...],
    file: Path,
    as_json: bool,
    push: bool,
    missing: bool,
    digests: Path | None,
    platform: str,
    tag: str,
    registry: str,
    frozen: bool,
) -> None:
    """Build and push once what services share: the runtime, bases and exported models."""

    project = read(file)
    plan = project.plan
    if not push:
        raise UsageError(
            "what services share is built alone for those that are built elsewhere", "--push"
        )
    chosen = select(plan, services or tuple(service.service for service in plan.services))
    request = BakeRequest(
        targets=tuple(target.name for target in plan.shared_by(chosen)),
        registry=registry or plan.registry,
        tag=tag,
        push=True,
        missing=missing,
        keep_going=True,
        platform=platform,
        frozen=frozen,
    )
    found = bases(project, request, console)
    if digests:
        pushed.write_pushed(digests, found)
    if as_json:
        print_json(found)
    else:
        for name, reference in found.items():
            click.echo(f"{name} {reference}")
