"""`slimbake ci summary`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from slimbake.ci import records as files
from slimbake.ci.summary import summarise, summary_text
from slimbake.cli.commands import examples
from slimbake.cli.common import FILE, known_option, manifest_option, read
from slimbake.host.files import read_json


@click.command(
    "summary",
    epilog=examples(
        "slimbake ci summary --plan plan.json --known known.json records/",
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
@known_option("Compare sizes with FILE, which `--write` wrote on the main branch.")
@click.option(
    "--write",
    type=FILE,
    help="Write times and sizes to FILE, for --known of later runs.",
)
def command(
    records: tuple[Path, ...], file: Path, jobs: Path, known: Path | None, write: Path | None
) -> None:
    """Print what a pipeline built, in Markdown: sizes, changes, budgets, checks.

    RECORDS are files that `slimbake bake --record` wrote, or folders of them.
    """

    plan = read(file).plan
    selected, unchanged = read_json(jobs, _jobs, "`slimbake ci plan > FILE` writes one")
    made = summarise(plan, selected, unchanged, files.records(records), files.read_known(known))
    if write:
        files.write_record(write, made.known)
    click.echo(summary_text(made), nl=False)


def _jobs(said: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The services that jobs build, and those that need none."""
    jobs = said["services"]["include"]
    built = tuple(name for job in jobs for name in job["services"].split())
    return built, tuple(said["unchanged"].split())
