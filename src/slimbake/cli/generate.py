"""`slimbake generate`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.ci.tool import expect_tool
from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read, tell_tool
from slimbake.errors import StaleFiles
from slimbake.render.generated import drift, laid_out, unified, update
from slimbake.warm import remove_lists


@click.command(
    "generate",
    epilog=examples("slimbake generate", "slimbake generate --check"),
)
@manifest_option
@click.option("--check", is_flag=True, help="Write nothing; exit with 4 if a file is stale.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def command(file: Path, check: bool, diff: bool) -> None:
    """Write docker-bake.hcl, bake/dockerfiles/ and the pipeline; remove files that are obsolete."""

    project = read(file)
    plan, root = project.plan, project.root
    files = laid_out(plan, root)
    if diff:
        click.echo(unified(drift(files, root), root), nl=False)
        return
    if check:
        found = drift(files, root)
        if found:
            names = [
                *(f"{f.path} differs" for f in found.write),
                *(f"{path} is left over" for path in found.remove),
            ]
            raise StaleFiles(
                "generated files are stale\n" + "\n".join(f"  {name}" for name in names),
                "run `slimbake generate`",
            )
        expect_tool(project)
        click.echo(f"{found.files} files are as generated")
        return
    tell_tool(project)
    if project.locks.layers or not project.asked.auto:  # else nothing says which layers there are
        remove_lists(project.fleet, console)
    del project  # the plan is all that files are made of; of a large fleet, half of the memory
    done = update(files, root)
    click.echo(f"{done.files} files: {done.written} written, {done.removed} removed")
