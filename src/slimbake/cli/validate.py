"""`slimbake validate`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import manifest_option, read


@click.command(
    "validate",
    epilog=examples("slimbake validate", "slimbake validate --manifest deploy/services.yaml"),
)
@manifest_option
def command(file: Path) -> None:
    """Check the manifest and every file that it names. Reports all problems at once, with line,
    column and a suggested fix.
    """
    project = read(file)
    written, targets = project.asked, len(project.plan.targets)
    click.echo(
        f"{file.name}: {len(written.services)} services, {len(written.bases)} bases,"
        f" {targets} targets"
    )
