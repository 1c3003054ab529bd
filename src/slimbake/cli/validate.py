"""`slimbake validate`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read
from slimbake.lock.removal import unmatched
from slimbake.lock.wheelhouse.store import store


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
    for line in unmatched(project.fleet, project.locks, store()):
        console.say(f"warning: {file.name}: {line}: no file of the locked packages matches")
    written, targets = project.asked, project.plan.targets
    counts = (("service", written.services), ("base", written.bases), ("target", targets))
    words = ", ".join(f"{len(each)} {name}{'s' * (len(each) != 1)}" for name, each in counts)
    click.echo(f"{file.name}: {words}")
