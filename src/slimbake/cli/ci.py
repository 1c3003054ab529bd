"""`slimbake ci`: the steps of a pipeline."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click
import yaml

from slimbake.ci.changes import unchanged_since
from slimbake.ci.matrix import Job, child, matrix
from slimbake.ci.records import (
    KNOWN,
    PLAN,
    RECORDS,
    read_known,
    record_file,
    recorded,
    records,
    shared_images,
)
from slimbake.ci.released import subjects
from slimbake.ci.summary import summarise, summary_text
from slimbake.cli.bake import baked
from slimbake.cli.check import expect_fresh
from slimbake.cli.commands import examples
from slimbake.cli.common import FILE, FOLDER, F, console, manifest_option, print_json, read, select
from slimbake.docker.engine import DockerEngine, find
from slimbake.errors import UsageError
from slimbake.host.files import TEXT, content, read_json, write_atomically
from slimbake.host.machine import machine
from slimbake.host.typed import WRONG
from slimbake.plan.model import Plan
from slimbake.plan.pipeline import caches, image_tag
from slimbake.project import Project
from slimbake.release.on_registry import attached_sboms
from slimbake.release.place import BakeRequest
from slimbake.release.wave import release_shared, tagged, unchanged_images
from slimbake.render.workflow import GITLAB


@click.group("ci", epilog=examples("slimbake ci plan", "slimbake ci plan --since main"))
def command() -> None:
    """The steps of a pipeline, which the generated workflows run.

    `plan` checks the files and says which jobs build what, `shared` builds what they share, `job`
    builds on that, `tag` tags what is unchanged, `summary` says what they built. $REGISTRY and $TAG
    name the images. What a job leaves for the next ones lies in .slimbake/records.
    """


@command.command(epilog=examples("slimbake ci plan", "slimbake ci plan --since main"))
@manifest_option
@click.option(
    "--since",
    default="",
    metavar="REV",
    help="Leave out services that have not changed since a commit."
    "  [default: those that are in the registry]",
)
@click.option(
    "--gitlab", type=FILE, metavar="FILE", help="Also write GitLab's child pipeline to FILE."
)
def plan(file: Path, since: str, gitlab: Path | None) -> None:
    """Check the files as `slimbake check` does, then print the jobs as one line of JSON.

    If slimbake cannot know whether a service has changed, the service has a job.
    """
    project = read(file)
    plan = project.plan
    expect_fresh(project)
    if since:
        unchanged = unchanged_since(project, since, console)
    else:
        unchanged = unchanged_images(project, plan.service_names, _registry(plan), console)
    jobs = matrix(plan, plan.service_names, unchanged)
    if gitlab:
        write_atomically(gitlab, child(_gitlab(project), jobs).encode())
    project.workspace.write(f"{RECORDS}/{PLAN}", jobs)
    click.echo(json.dumps(jobs, ensure_ascii=False))


def _gitlab(project: Project) -> dict[str, Any]:
    """The pipeline that lays out the jobs. Raises UsageError where there is none that can be read."""
    try:
        pipeline = yaml.load(content(project.root, GITLAB, TEXT), yaml.CSafeLoader)
        return {**pipeline, "variables": pipeline["variables"]}
    except (OSError, yaml.YAMLError, *WRONG) as error:
        raise UsageError(
            f"{GITLAB} cannot be read: {type(error).__name__}: {error}",
            "say `ci: {provider: gitlab}` in the manifest, then `slimbake generate` writes one",
        ) from None


def _parse_job(_: click.Context, __: click.Parameter, text: str) -> Job:
    try:
        fields = json.loads(text)
        return cast(Job, {key: str(fields[key]) for key in Job.__annotations__})
    except WRONG:
        raise UsageError(
            "--job is no job of a pipeline",
            "`slimbake ci plan` prints the jobs, under `shared` and `services`",
        ) from None


def _job_option(function: F) -> F:
    return click.option(
        "--job",
        envvar="JOB",
        required=True,
        metavar="JSON",
        callback=_parse_job,
        help="The job, as `slimbake ci plan` prints it. [default: $JOB]",
    )(function)


def _registry(plan: Plan) -> str:
    return os.environ.get("REGISTRY") or plan.registry


def _tag() -> str:
    return image_tag(os.environ.get("TAG") or "latest")


def _writes_caches() -> bool:
    """Whether the engine in use can write caches; a line says so where it cannot."""
    engine = find()
    if not isinstance(engine, DockerEngine) or engine.writes_caches:
        return True
    console.say(f"no cache is written: Docker {engine.version} may crash there, 28.5 does not")
    return False


def _request(plan: Plan, job: Job, targets: tuple[str, ...], push: bool) -> BakeRequest:
    """What a job asks for; with several lanes, each pushes under tags of its own."""
    os.environ |= {**caches(plan, job["lane"], push and _writes_caches()), **os.environ}
    tag = _tag()
    if job["platform"]:
        tag += f"-{job['lane']}"
    return BakeRequest(
        targets=targets,
        registry=_registry(plan),
        tag=tag,
        push=push,
        missing=push,
        take_layers=True,
        keep_going=True,
        platform=job["platform"],
        frozen=True,
    )


@command.command(epilog=examples("slimbake ci shared", "slimbake ci shared -f fleet.yaml"))
@manifest_option
@_job_option
def shared(file: Path, job: Job) -> None:
    """Build and push once what the services of a job share: bases and exported models.

    Images that the registry has are skipped.
    """
    project = read(file)
    services = select(project.plan, tuple(job["services"].split()))
    targets = tuple(target.name for target in project.plan.shared_by(services))
    request = _request(project.plan, job, targets, push=True)
    released = recorded(
        record_file(project.workspace, job["id"]),
        services,
        lambda: release_shared(project, request, console),
    )
    click.echo("\n".join(f"{name} {reference}" for name, reference in released.pushed.items()))


@command.command(epilog=examples("slimbake ci job", "slimbake ci job --push"))
@manifest_option
@_job_option
@click.option("--push", is_flag=True, help="Build on what `slimbake ci shared` pushed, and push.")
def job(file: Path, job: Job, push: bool) -> None:
    """Build and check the services of one job; with --push, push each that passes.

    It is `bake --frozen --keep-going`, with --push also `--push --missing`.
    """
    project = read(file)
    services = select(project.plan, tuple(job["services"].split()))
    request = _request(project.plan, job, services, push)
    if push:
        first = record_file(project.workspace, job["lane"])
        request = replace(request, pushed=shared_images(first, project.plan))
    baked(project, request, record=record_file(project.workspace, job["id"]))


@command.command(epilog=examples("slimbake ci tag", "slimbake ci tag --sboms sboms"))
@manifest_option
@click.option(
    "--sboms",
    type=FOLDER,
    help="Write the SBOMs that are attached to the images into this folder.",
)
def tag(file: Path, sboms: Path | None) -> None:
    """Give unchanged images the tag of the run, and list all that have it, by digest.

    Images of several lanes come together under one tag. Nothing is pulled or built: a registry
    gives a digest another name.
    """
    project = read(file)
    images = tagged(project, _registry(project.plan), _tag(), console)
    attached = attached_sboms(images, str(machine().ca_bundle or ""))
    entries = list(subjects(images, attached))
    for subject in entries:
        if subject["sbom"] and sboms:
            text = attached[subject["service"]][subject["platform"]]
            write_atomically(sboms / subject["sbom"], text.encode())
    print_json({"images": entries})


@command.command(epilog=examples("slimbake ci summary", "slimbake ci summary > summary.md"))
@manifest_option
def summary(file: Path) -> None:
    """Print what a pipeline built, in Markdown: sizes, changes, budgets.

    Changes are those since .slimbake/known.json, where sizes are then kept for the next run.
    """
    project = read(file)
    selected, same = read_json(
        record_file(project.workspace, PLAN), _services, "`slimbake ci plan` writes it"
    )
    result = summarise(
        project.plan,
        selected,
        same,
        records([project.workspace.path(RECORDS)]),
        read_known(project.workspace),
    )
    project.workspace.write(KNOWN, result.known.as_json())
    click.echo(summary_text(result), nl=False)


def _services(matrix: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services that jobs build, and those that need none."""
    selected: list[str] = []
    for job in matrix["shared"]:
        selected += job["services"].split()
    return tuple(selected), tuple(matrix["unchanged"].split())
