"""`slimbake summary`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from slimbake.ci import records as files
from slimbake.ci.summary import summarise, summary_text
from slimbake.cli.common import manifest_option, read
from slimbake.errors import UsageError


@click.command("summary")
@click.argument("records", nargs=-1, type=click.Path(path_type=Path))
@manifest_option
@click.option(
    "--matrix",
    "jobs",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="What `slimbake matrix` printed: the jobs that were to run.",
)
@click.option(
    "--known",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SLIMBAKE_KNOWN",
    help="What `--write` wrote on the main branch: what sizes are compared with.",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what is known after this run.",
)
def command(
    records: tuple[Path, ...], file: Path, jobs: Path, known: Path | None, write: Path | None
) -> None:
    """Say in Markdown what a pipeline built: sizes, changes, budgets, smokes.

    RECORDS are files that `slimbake bake --report` wrote, or folders of them.
    """

    plan = read(file).plan
    selected, unchanged = _jobs(jobs)
    made = summarise(plan, selected, unchanged, files.records(records), files.read_known(known))
    if write:
        files.write_record(write, made.known)
    click.echo(summary_text(made), nl=False)


def _jobs(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services that jobs build, and those that need none."""

    try:
        said: Any = json.loads(file.read_text("utf-8"))
        jobs = said["services"]["include"]
        return tuple(name for job in jobs for name in job["services"].split()), tuple(
            said["unchanged"].split()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "`slimbake matrix > FILE` writes one"
        raise UsageError(f"{file} cannot be read: {type(error).__name__}: {error}", hint) from None
