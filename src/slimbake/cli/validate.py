"""`slimbake validate`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import manifest_option, read


@click.command("validate")
@manifest_option
def command(file: Path) -> None:
    """Read and check the manifest and every file that it names; all problems at once."""
    project = read(file)
    written, targets = project.asked, len(project.plan.targets)
    click.echo(
        f"{file.name}: {len(written.services)} services, {len(written.bases)} bases,"
        f" {targets} targets"
    )
