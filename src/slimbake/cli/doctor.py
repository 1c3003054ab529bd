"""`slimbake doctor`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import json_option, layout, manifest_option, print_json, print_text, read
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
        report = doctor(
            project.plan.externals,
            merged(project.root, (target.name for target in project.plan.targets)),
            project.root,
            {
                service.service: service.start.beside
                for service in project.plan.services
                if service.start.beside
            },
            project.fleet.every_platform,
        )
        following = "`slimbake bake`"
    else:
        report = doctor(pythons(file.parent.resolve()))
        following = "`slimbake init` in your repository"
    if as_json:
        print_json([asdict(row) for row in report.rows])
    else:
        click.echo(
            text_table(
                ("check", "state", "found"),
                [(r.check, r.state, r.found) for r in report.rows],
                left=3,
                layout=layout(),
            )
        )
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
    others = {draft.entry.get("python", first) for draft in with_python(drafts, first)} - {first}
    images = {"python": first, **{f"python-{version}": version for version in sorted(others)}}
    return tuple(
        External(name, f"python:{version}-slim-{DEBIAN}") for name, version in images.items()
    )
