"""`slimbake ci plan`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import yaml

from slimbake.ci.matrix import Matrix, child, matrix
from slimbake.ci.records import read_known as read_known
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FILE,
    all_variants_option,
    console,
    known_option,
    manifest_option,
    read,
    registry_option,
    select_any,
    services_argument,
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
@services_argument
@all_variants_option
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
@registry_option
@known_option(
    "Spread builds over jobs by how long they took; `slimbake ci summary --write FILE` writes it."
)
@click.option(
    "--gitlab",
    type=FILE,
    metavar="FILE",
    help="Also write GitLab's child pipeline to FILE.",
)
def command(
    services: tuple[str, ...],
    variant: str,
    file: Path,
    missing: bool,
    since: str,
    registry: str,
    known: Path | None,
    gitlab: Path | None,
) -> None:
    """Print the jobs of a pipeline, in waves, as one line of JSON."""

    project = read(file)
    plan = project.plan
    selected = select_any(plan, services, variant)  # the workflow looks for an empty list
    unchanged = _unchanged(project, selected, missing, since, registry)
    made = matrix(plan, selected, unchanged, read_known(known).costs)
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
    project: Project, services: tuple[str, ...], missing: bool, since: str, registry: str
) -> tuple[str, ...]:
    """Those of the services that need no job."""
    from slimbake.ci.unchanged import held, same

    if since:
        return same(project.manifest.file, services, since, console)
    if not missing:
        return ()
    found = held(project, services, registry or project.plan.registry, console)
    return tuple(image.target for image in found)
