"""`slimbake ci plan`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import yaml

from slimbake.ci.matrix import Matrix, child, matrix
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FILE,
    console,
    manifest_option,
    read,
)
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically
from slimbake.host.typed import WRONG
from slimbake.project import Project
from slimbake.render.workflow import GITLAB


@click.command(
    "plan",
    epilog=examples("slimbake ci plan", "slimbake ci plan --missing > plan.json"),
)
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
def command(file: Path, missing: bool, since: str, gitlab: Path | None) -> None:
    """Print the jobs of a pipeline, in waves, as one line of JSON: every service in all its
    variants.
    """

    project = read(file)
    services = tuple(each.service for each in project.plan.services)
    unchanged = _unchanged(project, services, missing, since)
    made = matrix(project.plan, services, unchanged)
    if gitlab:
        _write_child(project.root, made, gitlab)
    click.echo(json.dumps(made, ensure_ascii=False))


def _write_child(root: Path, made: Matrix, file: Path) -> None:
    """Raises UsageError where there is no .gitlab-ci.yml that can be read."""

    hint = "say `ci: {provider: gitlab}` in the manifest, then `slimbake generate` writes one"
    try:
        text = child(yaml.safe_load((root / GITLAB).read_text("utf-8")), made)
    except (OSError, yaml.YAMLError, *WRONG) as error:
        raise UsageError(
            f"{GITLAB} cannot be read: {type(error).__name__}: {error}", hint
        ) from None
    write_atomically(file, text.encode())


def _unchanged(
    project: Project, services: tuple[str, ...], missing: bool, since: str
) -> tuple[str, ...]:
    """Those of the services that need no job."""
    from slimbake.ci.unchanged import held, same

    if since:
        return same(project.manifest.file, services, since, console)
    if not missing:
        return ()
    registry = os.environ.get("REGISTRY") or project.plan.registry
    return tuple(image.target for image in held(project, services, registry, console))
