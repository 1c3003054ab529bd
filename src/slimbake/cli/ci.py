"""`slimbake ci`: the steps of a pipeline."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import yaml

from slimbake.ci.changes import unchanged_since
from slimbake.ci.matrix import child, matrix
from slimbake.ci.records import KNOWN, read_known, recorded
from slimbake.ci.records import records as read_records
from slimbake.ci.released import subjects
from slimbake.ci.summary import summarise, summary_text
from slimbake.cli.bake import baked
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FILE,
    FOLDER,
    console,
    image_names,
    manifest_option,
    platform_option,
    print_json,
    read,
    record_option,
    select,
    services_argument,
)
from slimbake.errors import UsageError
from slimbake.host.files import read_json, write_atomically
from slimbake.host.machine import machine
from slimbake.host.typed import WRONG
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.release.on_registry import attached_sboms, released_images
from slimbake.release.place import BakeRequest
from slimbake.release.release import offered
from slimbake.release.site import seen
from slimbake.release.wave import read_digests, release_shared, write_digests
from slimbake.render.workflow import GITLAB


@click.group("ci", epilog=examples("slimbake ci plan", "slimbake ci plan --since main"))
def command() -> None:
    """The steps of a pipeline, which the generated workflows run.

    `plan` says which jobs build what, `shared` builds what they share, `job` builds on that,
    `released` lists what is signed, `summary` says what they built.
    """


@command.command(epilog=examples("slimbake ci plan", "slimbake ci plan --missing > plan.json"))
@manifest_option
@click.option(
    "--missing", is_flag=True, help="Leave out services that are already in the registry."
)
@click.option(
    "--since",
    default="",
    metavar="REV",
    help="Leave out services that have not changed since a commit.",
)
@click.option(
    "--gitlab",
    type=FILE,
    metavar="FILE",
    help="Also write GitLab's child pipeline to FILE.",
)
def plan(file: Path, missing: bool, since: str, gitlab: Path | None) -> None:
    """Print the jobs of a pipeline, in waves, as one line of JSON: every service in all its
    variants.
    """
    project = read(file)
    services = tuple(service.service for service in project.plan.services)
    unchanged: tuple[str, ...] = ()
    if since:
        unchanged = unchanged_since(project.manifest.file, services, since, console)
    elif missing:
        registry = os.environ.get("REGISTRY") or project.plan.registry
        registry_images = offered(seen(project, console), services, registry)
        unchanged = tuple(image.target for image in registry_images)
    jobs = matrix(project.plan, services, unchanged)
    if gitlab:
        write_atomically(gitlab, child(_gitlab(project), jobs).encode())
    click.echo(json.dumps(jobs, ensure_ascii=False))


def _gitlab(project: Project) -> dict[str, Any]:
    """The pipeline that lays out the jobs. Raises UsageError where there is none that can be read."""
    try:
        pipeline = yaml.safe_load((project.root / GITLAB).read_text("utf-8"))
        return {**pipeline, "variables": pipeline["variables"]}
    except (OSError, yaml.YAMLError, *WRONG) as error:
        raise UsageError(
            f"{GITLAB} cannot be read: {type(error).__name__}: {error}",
            "say `ci: {provider: gitlab}` in the manifest, then `slimbake generate` writes one",
        ) from None


def _request(plan: Plan, targets: tuple[str, ...], platform: str) -> BakeRequest:
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


@command.command(
    epilog=examples("slimbake ci shared --digests shared.json", "slimbake ci shared api")
)
@services_argument
@manifest_option
@click.option(
    "--digests",
    type=FILE,
    help="Write the digests of the pushed images to FILE, for `slimbake ci job --shared`.",
)
@platform_option
@record_option
def shared(
    services: tuple[str, ...],
    file: Path,
    digests: Path | None,
    platform: str,
    record: Path | None,
) -> None:
    """Build and push once what services share: the runtime, bases and exported models.

    Images that the registry has are skipped. $REGISTRY and $TAG name the images.
    """
    project = read(file)
    every = tuple(service.service for service in project.plan.services)
    chosen = select(project.plan, services or every)
    targets = tuple(target.name for target in project.plan.shared_by(chosen))
    request = _request(project.plan, targets, platform)
    released = recorded(record, chosen, lambda: release_shared(project, request, console))
    pushed = {name: released.pushed[name] for name in targets if name in released.pushed}
    if digests:
        write_digests(digests, pushed)
    for name, reference in pushed.items():
        click.echo(f"{name} {reference}")


@command.command(epilog=examples("slimbake ci job api", "slimbake ci job api --shared shared.json"))
@services_argument
@manifest_option
@click.option(
    "--shared",
    type=FILE,
    help="Build on the images listed in FILE, which `slimbake ci shared --digests` wrote.",
)
@platform_option
@record_option
def job(
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
    request = _request(project.plan, select(project.plan, services), platform)
    pushed = read_digests(shared, project.plan) if shared else {}
    baked(project, replace(request, pushed=pushed), record, as_json=False)


@command.command(epilog=examples("slimbake ci released", "slimbake ci released --sboms sboms"))
@manifest_option
@click.option(
    "--sboms",
    type=FOLDER,
    help="Write the SBOMs that are attached to the images into this folder.",
)
def released(file: Path, sboms: Path | None) -> None:
    """List the images that the registry has under $TAG, by digest, for the job that signs them."""
    project = read(file)
    if project.plan.pipeline.sign == "none":
        raise UsageError(
            f"{file.name} has no `ci: {{sign: ...}}`, so nothing is signed",
            "add `ci: {sign: cosign}`, or `sign: github` for GitHub's attestations",
        )
    registry, tag = os.environ.get("REGISTRY", ""), os.environ.get("TAG", "latest")
    ca_bundle = str(machine().ca_bundle or "")
    images = released_images(image_names(project.plan, registry, tag), ca_bundle)
    attached = attached_sboms(images, ca_bundle)
    signable = list(subjects(images, attached))
    for subject in signable if sboms else ():
        if subject["sbom"] and sboms:
            text = attached[subject["service"]][subject["platform"]]
            write_atomically(sboms / subject["sbom"], text.encode())
    print_json({"images": signable})


@command.command(
    epilog=examples(
        "slimbake ci summary --plan plan.json records/",
        "slimbake ci summary --plan plan.json record.json > summary.md",
    )
)
@click.argument("records", nargs=-1, type=click.Path(path_type=Path))
@manifest_option
@click.option(
    "--plan",
    "jobs",
    type=FILE,
    required=True,
    help="The jobs that were to run, as `slimbake ci plan` printed them.",
)
def summary(records: tuple[Path, ...], file: Path, jobs: Path) -> None:
    """Print what a pipeline built, in Markdown: sizes, changes, and what failed.

    RECORDS are files that `slimbake bake --record` wrote, or folders of them. Changes are those
    since .slimbake/known.json, where sizes are then kept for the next run.
    """
    project = read(file)
    selected, unchanged = read_json(jobs, _jobs, "`slimbake ci plan > FILE` writes one")
    before = read_known(project.workspace)
    result = summarise(project.plan, selected, unchanged, read_records(records), before)
    project.workspace.write(KNOWN, result.known.as_json())
    click.echo(summary_text(result), nl=False)


def _jobs(value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services that jobs build, and those that need none."""
    jobs = value["services"]["include"]
    built = tuple(name for job in jobs for name in job["services"].split())
    return built, tuple(value["unchanged"].split())
