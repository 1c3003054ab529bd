"""`slimbake lock`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.ci.tool import lock_tool, tool_fault
from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read
from slimbake.config.specs import normalised
from slimbake.console.tables import counted, megabytes
from slimbake.errors import UsageError
from slimbake.host.machine import machine
from slimbake.lock.asked import systems
from slimbake.lock.locking import ALL, BUILDER, lock
from slimbake.lock.locks import locked_pins
from slimbake.project import Project, reread


@click.command(
    "lock",
    epilog=examples("slimbake lock", "slimbake lock --upgrade fastapi"),
)
@manifest_option
@click.option("--check", is_flag=True, help="Write nothing; exit with 4 if a lock is stale.")
@click.option(
    "--upgrade",
    "-U",
    metavar="[PACKAGE]",
    is_flag=False,
    flag_value="*",
    multiple=True,
    help="Take the newest version that fits, of this package or of all; repeatable.",
)
@click.option(
    "--fetch",
    "fetches",
    is_flag=True,
    help="Download every file of the locks, so that a build needs no network; download damaged ones"
    " again.",
)
def command(file: Path, check: bool, upgrade: tuple[str, ...], fetches: bool) -> None:
    """Resolve the exact, hash-verified contents of each layer into bake/locks/; write
    bake/slimbake.txt.
    """

    project = read(file)
    if check:
        project.expect_fresh_locks()
        if fault := tool_fault(project):
            raise fault
        click.echo("the locks are fresh")
    elif fetches:
        project.expect_fresh_locks()
        click.echo(_fetched(project))
    else:
        _lock(project, upgrade)


def _lock(project: Project, upgrade: tuple[str, ...]) -> None:
    names = ALL if ALL[0] in upgrade else tuple(map(normalised, upgrade))
    known = {*ALL, BUILDER}
    for pins in locked_pins(project.fleet, project.locks).values():
        known.update(pin.name for pin in pins)
    for system in systems(project.fleet):
        known.update(deb.name for deb in project.locks.debs(system.scope.system_lock))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"no lock holds {', '.join(unknown)}",
            "`slimbake lock --upgrade` without a name takes all",
        )
    here = machine()
    locked = lock(project.fleet, here, console, names)
    for name in locked:  # before what pipelines install, which may be refused
        click.echo(f"bake/locks/{name}")
    tool = lock_tool(project, here, console)
    if tool:
        click.echo("\n".join(tool))
    elif not locked and not reread(project).stale_locks:
        click.echo("the locks are fresh")


def _fetched(project: Project) -> str:
    """Download every file of the locks; what is there then."""
    from slimbake.lock.wheelhouse import fetch, fetch_debian
    from slimbake.lock.wheelhouse.store import store

    kept, here = store(console), machine()
    wheels = fetch(project.fleet, project.locks, here, kept, console)
    debs = fetch_debian(project.fleet, project.locks, here, kept, console)
    files = set().union(*wheels.by_lock.values(), *debs.values())
    total = megabytes(sum(file.path.stat().st_size for file in files))
    fetched = counted(wheels.fetched, "wheel")
    return f"{counted(len(files), 'file')}, {total}, {fetched} fetched now: {kept.root}"
