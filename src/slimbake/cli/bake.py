"""`slimbake bake`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from slimbake import docker
from slimbake.ci.records import recorded
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FILE,
    console,
    image_options,
    json_option,
    json_text,
    manifest_option,
    platform_option,
    print_json,
    print_text,
    read,
    select,
    services_argument,
    table_width,
)
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically
from slimbake.images.measure import last_measurement
from slimbake.project import Project
from slimbake.release.inputs import last_images
from slimbake.release.outcome import ending, metadata, next_step, released_json, released_text
from slimbake.release.place import BakeRequest
from slimbake.release.release import release


@click.command(
    "bake",
    epilog=examples(
        "slimbake bake api storage",
        "slimbake bake --push --missing --registry registry.example.com --tag v1",
    ),
)
@services_argument
@manifest_option
@json_option
@click.option(
    "--push", is_flag=True, help="Push the images that passed their checks, each with its SBOM."
)
@click.option(
    "--missing",
    is_flag=True,
    help="Skip services that are already in the registry; only add the tag.",
)
@image_options
@click.option("--builder", default="", metavar="NAME", help="Build on this buildx builder.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="TARGET.KEY=VALUE",
    help="Override a value of a target, as `buildx bake --set` does.",
)
@platform_option
@click.option(
    "--metadata-file",
    type=FILE,
    metavar="FILE",
    help="Write names and digests of the images to FILE, as `buildx bake` does.",
)
@click.option(
    "--keep-going",
    is_flag=True,
    help="With --push, push the services that pass even if others fail.",
)
@click.option(
    "--frozen",
    is_flag=True,
    help="Fail on stale locks or generated files instead of updating them, as in CI.",
)
def command(
    services: tuple[str, ...],
    file: Path,
    as_json: bool,
    tag: str,
    registry: str,
    frozen: bool,
    push: bool,
    missing: bool,
    builder: str,
    sets: tuple[str, ...],
    keep_going: bool,
    platform: str,
    metadata_file: Path | None,
) -> None:
    """Build the services in parallel, run their checks, then tag the images that pass; with --push,
    push all of them, or none if a service fails.
    """
    if missing and not push:
        raise UsageError("--missing requires --push", "--push --missing")
    if missing and sets:
        raise UsageError(
            "what --set changes is in no fingerprint, so --missing cannot know it",
            "leave out one of them",
        )
    project = read(file)
    if builder:
        docker.use_builder(builder)
    request = BakeRequest(
        targets=select(project.plan, services),
        registry=registry or project.plan.registry,
        tag=tag,
        push=push,
        missing=missing,
        take_layers=missing,
        keep_going=keep_going or not push,
        platform=platform,
        sets=sets,
        frozen=frozen,
    )
    baked(project, request, as_json=as_json, metadata_file=metadata_file)


def baked(
    project: Project,
    request: BakeRequest,
    *,
    as_json: bool = False,
    record: Path | None = None,
    metadata_file: Path | None = None,
) -> None:
    """Release what is asked for, record how that ended, and print it.

    Raises what `release` raises, or what failed in it, once the rest is printed.
    """
    began = time.monotonic()
    before = last_measurement(last_images(project.workspace), project.workspace)
    released = recorded(record, request.targets, lambda: release(project, request, console))
    if metadata_file:
        write_atomically(metadata_file, f"{json_text(metadata(released))}\n".encode())
    if as_json:
        print_json(released_json(released))
    elif text := released_text(released, table_width()):
        print_text(text)
    console.say(ending(released, before, time.monotonic() - began))
    released.expect_all()
    if not request.push and (step := next_step(project.plan.project)):
        console.say(step)
