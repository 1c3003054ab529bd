"""`slimbake lock`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.ci.tool import expect_tool, lock_tool
from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read
from slimbake.config.specs import normalised
from slimbake.errors import UsageError
from slimbake.host.machine import machine
from slimbake.lock.asked import systems
from slimbake.lock.auto import sharers
from slimbake.lock.explain import explanation
from slimbake.lock.locking import ALL, lock
from slimbake.lock.locks import locked_pins
from slimbake.lock.model import families


@click.command(
    "lock",
    epilog=examples("slimbake lock --upgrade fastapi", "slimbake lock --explain numpy"),
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
    "--explain",
    metavar="PACKAGE",
    help="Say who needs a package, in which layer it is, and why there.",
)
def command(file: Path, check: bool, upgrade: tuple[str, ...], explain: str) -> None:
    """Resolve the exact, hash-verified contents of each layer into bake/locks/; write bake/slimbake.txt."""

    project = read(file)
    locks = project.locks
    pins = locked_pins(project.fleet, locks)
    if check:
        project.expect_fresh_locks()
        expect_tool(project)
        click.echo("the locks are fresh")
    elif explain:
        on = sharers(locks.layers) if project.asked.auto and locks.layers else None
        text = explanation(normalised(explain), families(project.fleet), pins, on)
        if not text:
            raise UsageError(
                f"no lock holds {explain}", "`slimbake lock` brings the locks up to date"
            )
        click.echo(text)
    else:
        names = tuple(name if name in ALL else normalised(name) for name in upgrade)
        held = {pin.name for layer in pins.values() for pin in layer}
        for system in systems(project.fleet):
            held |= {deb.name for deb in locks.debs(system.layer.system_lock)}
        if unknown := [name for name in names if name not in {*held, *ALL}]:
            raise UsageError(
                f"no lock holds {', '.join(unknown)}",
                "`slimbake lock --upgrade` without a name takes all",
            )
        here = machine()
        locked = lock(project.asked, here, console, ALL if ALL[0] in names else names)
        changed = (*(f"bake/locks/{name}" for name in locked), *lock_tool(project, here))
        click.echo("\n".join(changed) if changed else "the locks are fresh")
