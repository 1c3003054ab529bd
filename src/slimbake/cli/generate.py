"""`slimbake generate`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.ci.tool import tool_fault
from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read
from slimbake.console.tables import counted
from slimbake.inside.lines import some
from slimbake.render.generated import laid_out, update

SHOWN = 5  # paths of removed files


@click.command(
    "generate",
    epilog=examples("slimbake generate", "slimbake generate --manifest deploy/services.yaml"),
)
@manifest_option
def command(file: Path) -> None:
    """Write docker-bake.hcl, bake/dockerfiles/ and the pipeline; remove files that are obsolete."""

    project = read(file)
    plan, root = project.plan, project.root
    files = laid_out(plan, root)
    if fault := tool_fault(project):
        console.say(f"warning: {fault.message}\n  {fault.hint}")
    del project  # the plan is all that files are made of; of a large fleet, half of the memory
    done = update(files, root)
    click.echo(
        f"{counted(done.files, 'file')}: {done.written} written, {len(done.removed)} removed"
    )
    if done.removed:
        click.echo(f"removed: {some(done.removed, SHOWN)}")
