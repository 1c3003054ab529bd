"""`slimbake generate`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read, tell_tool
from slimbake.render.generated import laid_out, update
from slimbake.warm import remove_lists


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
    tell_tool(project)
    if project.locks.layers or not project.asked.auto:  # else nothing says which layers there are
        remove_lists(project.fleet, console)
    del project  # the plan is all that files are made of; of a large fleet, half of the memory
    done = update(files, root)
    click.echo(f"{done.files} files: {done.written} written, {done.removed} removed")
