"""`slimbake ci summary`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from slimbake.ci.records import KNOWN, read_known
from slimbake.ci.records import records as read_records
from slimbake.ci.summary import summarise, summary_text
from slimbake.cli.commands import examples
from slimbake.cli.common import FILE, manifest_option, read
from slimbake.host.files import read_json


@click.command(
    "summary",
    epilog=examples(
        "slimbake ci summary --plan plan.json records/",
        "slimbake ci summary --plan plan.json record.json > summary.md",
    ),
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
def command(records: tuple[Path, ...], file: Path, jobs: Path) -> None:
    """Print what a pipeline built, in Markdown: sizes, changes, budgets, checks.

    RECORDS are files that `slimbake bake --record` wrote, or folders of them. Changes are those
    since .slimbake/known.json, where sizes are then kept for the next run.
    """

    project = read(file)
    selected, unchanged = read_json(jobs, _jobs, "`slimbake ci plan > FILE` writes one")
    before = read_known(project.workspace)
    made = summarise(project.plan, selected, unchanged, read_records(records), before)
    project.workspace.write(KNOWN, made.known.as_json())
    click.echo(summary_text(made), nl=False)


def _jobs(said: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services that jobs build, and those that need none."""
    jobs = said["services"]["include"]
    built = tuple(name for job in jobs for name in job["services"].split())
    return built, tuple(said["unchanged"].split())
