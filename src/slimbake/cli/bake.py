"""`slimbake bake`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import FILE, image_options, output_options, service_options
from slimbake.console.tables import Layout

if TYPE_CHECKING:
    from slimbake.build.place import BakeRequest
    from slimbake.build.release import Released


@click.command(
    "bake",
    epilog=examples(
        "slimbake bake api storage",
        "slimbake bake --push --missing --registry registry.example.com --tag v1",
    ),
)
@service_options
@output_options
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
@click.option("--no-cache", is_flag=True, help="Rebuild every step.")
@click.option(
    "--shared",
    type=FILE,
    multiple=True,
    help="Use the images listed in FILE instead of building what services share; `slimbake ci"
    " shared --digests FILE` writes it.",
)
@click.option(
    "--platform", default="", help="Build for this platform only.  [default: the manifest's]"
)
@click.option(
    "--record",
    type=FILE,
    help="Write the result to FILE, for `slimbake ci summary` and `slimbake report`.",
)
@click.option("--keep-going", is_flag=True, help="Tag the services that pass even if others fail.")
@click.option(
    "--frozen",
    is_flag=True,
    help="Fail on stale locks or generated files instead of updating them, as in CI.",
)
def command(
    services: tuple[str, ...],
    variant: str,
    file: Path,
    as_json: bool,
    layout: Layout,
    tag: str,
    registry: str,
    frozen: bool,
    push: bool,
    missing: bool,
    builder: str,
    sets: tuple[str, ...],
    no_cache: bool,
    keep_going: bool,
    shared: tuple[Path, ...],
    platform: str,
    record: Path | None,
) -> None:
    """Build the services in parallel, run their checks, then tag and push the images that pass."""
    from slimbake import docker
    from slimbake.build.known import last_images
    from slimbake.build.place import BakeRequest
    from slimbake.build.pushed import read_pushed
    from slimbake.build.release import release
    from slimbake.build.released_report import ending
    from slimbake.ci.records import recorded
    from slimbake.cli.common import console, print_released, read, select, tell_tool
    from slimbake.images.measured import remembered

    project = read(file)
    plan = project.plan
    if missing:
        _check_missing(push, no_cache, sets)
    if builder:
        docker.use_builder(builder)
    request = BakeRequest(
        targets=select(plan, services, variant),
        registry=registry or plan.registry,
        tag=tag,
        push=push,
        missing=missing,
        keep_going=keep_going,
        platform=platform,
        pushed=read_pushed(shared, plan),
        sets=sets,
        no_cache=no_cache,
        frozen=frozen,
    )
    began, before = time.monotonic(), remembered(last_images(project.workspace), project.workspace)

    def ended() -> Released:
        with _others(request):
            return release(project, request, console)

    released = recorded(record, request.targets, ended)
    tell_tool(project)
    print_released(released, as_json, layout)
    last = {image.name: image for image in before.images}
    console.say(ending(released, last, time.monotonic() - began))


@contextlib.contextmanager
def _others(request: BakeRequest) -> Iterator[None]:
    """Say with what fails first how to see what else does."""
    from slimbake.errors import BuildError, CheckError

    try:
        yield
    except (BuildError, CheckError) as error:
        if len(request.targets) > 1 and not request.keep_going:
            more = "`slimbake bake --keep-going` goes on with the others, and shows what else fails"
            error.hint = f"{error.hint}\n{more}".lstrip()
        raise


def _check_missing(push: bool, no_cache: bool, sets: tuple[str, ...]) -> None:
    """Refuse what makes no sense with `--missing`."""
    from slimbake.errors import UsageError

    if not push:
        raise UsageError("--missing requires --push", "--push --missing")
    if no_cache:
        raise UsageError(
            "--missing builds nothing that is there, --no-cache everything", "leave out one of them"
        )
    if sets:
        raise UsageError(
            "what --set changes is in no fingerprint, so --missing cannot know it",
            "leave out one of them",
        )
