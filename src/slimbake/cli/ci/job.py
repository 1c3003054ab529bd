"""`slimbake ci job`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from slimbake.cli.bake import baked
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FILE,
    manifest_option,
    platform_option,
    read,
    record_option,
    select,
    services_argument,
)
from slimbake.plan.model import Plan
from slimbake.release.place import BakeRequest
from slimbake.release.pushed import read_pushed


def request(plan: Plan, targets: tuple[str, ...], platform: str) -> BakeRequest:
    """What every job of a pipeline that pushes asks for."""
    return BakeRequest(
        targets=targets,
        registry=os.environ.get("REGISTRY") or plan.registry,
        tag=os.environ.get("TAG", "latest"),
        push=True,
        missing=True,
        keep_going=True,
        platform=platform,
        frozen=True,
    )


@click.command(
    "job",
    epilog=examples("slimbake ci job api", "slimbake ci job api --shared shared.json"),
)
@services_argument
@manifest_option
@click.option(
    "--shared",
    type=FILE,
    help="Build on the images listed in FILE, which `slimbake ci shared --digests` wrote.",
)
@platform_option
@record_option
def command(
    services: tuple[str, ...],
    file: Path,
    shared: Path | None,
    platform: str,
    record: Path | None,
) -> None:
    """Build, check and push the services of one job, each that passes.

    It is `bake --frozen --push --missing --keep-going`. $REGISTRY and $TAG name the images.
    """
    project = read(file)
    asked = request(project.plan, select(project.plan, services), platform)
    pushed = read_pushed(shared, project.plan) if shared else {}
    baked(project, replace(asked, pushed=pushed), record, as_json=False)
