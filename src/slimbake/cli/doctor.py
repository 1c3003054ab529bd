"""`slimbake doctor`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    json_option,
    manifest_option,
    print_json,
    print_text,
    read,
    table_width,
)
from slimbake.console.tables import text_table
from slimbake.errors import SETUP
from slimbake.externals.doctor import doctor, merged
from slimbake.fleet.model import External
from slimbake.fleet.resolve import DEBIAN


@click.command(
    "doctor",
    epilog=examples("slimbake doctor", "slimbake doctor --json"),
)
@manifest_option
@json_option
def command(file: Path, as_json: bool) -> None:
    """Report what a bake needs, what is there, and what to do; changes nothing.

    The last line says whether a bake can work here. If it cannot, the exit code is 7.
    """

    if file.is_file():
        project = read(file)
        needs = {}
        for service in project.plan.services:
            if service.start.beside:
                needs[service.service] = service.start.beside
        report = doctor(
            project.plan.externals,
            merged(project.root, [target.name for target in project.plan.targets]),
            project.root,
            needs,
            project.fleet.every_platform,
        )
        following = "`slimbake bake`"
    else:
        report = doctor(pythons(file.parent.resolve()))
        following = "`slimbake init` in your repository"
    if as_json:
        print_json([asdict(row) for row in report.rows])
    else:
        rows = [(row.check, row.state, row.found) for row in report.rows]
        click.echo(text_table(("check", "state", "found"), rows, 3, table_width()))
        for row in report.rows:
            if row.advice:
                print_text(f"{row.check}: {row.advice}")
        print_text(f"\n{report.conclusion(following)}")
    sys.exit(0 if report.healthy else SETUP)


def pythons(root: Path) -> tuple[External, ...]:
    """The images with the Pythons that `slimbake init` would write for a repository."""
    from slimbake.adopt.fit import python_for, with_python
    from slimbake.adopt.services import adoption
    from slimbake.adopt.survey import survey

    drafts = adoption(survey(root)).drafts
    first = python_for(drafts)
    versions = {draft.entry.get("python", first) for draft in with_python(drafts, first)}
    images = [External("python", f"python:{first}-slim-{DEBIAN}")]
    for version in sorted(versions - {first}):
        images.append(External(f"python-{version}", f"python:{version}-slim-{DEBIAN}"))
    return tuple(images)
