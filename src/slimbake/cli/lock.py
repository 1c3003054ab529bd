"""`slimbake lock`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import console, manifest_option, read
from slimbake.errors import StaleFiles, UsageError


@click.command("lock")
@manifest_option
@click.option("--check", is_flag=True, help="Resolve nothing; end with 4 if a lock is stale.")
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
    """Resolve the exact, hash-verified contents of each layer into locks/."""
    from slimbake.config.specs import normalised
    from slimbake.host.machine import machine
    from slimbake.lock import ALL, lock, locked, settled, stale, system_locks
    from slimbake.lock.auto import sharers
    from slimbake.lock.explain import explanation
    from slimbake.lock.model import families, is_auto
    from slimbake.lock.packages import found_layers

    manifest, _ = read(file)
    if check:
        if old := stale(manifest):
            raise StaleFiles(
                f"locks are stale: {', '.join(map(str, old))}", "`slimbake lock` mends it"
            )
        click.echo("the locks are fresh")
    elif explain:
        found = found_layers(manifest) if is_auto(manifest) else None
        on = sharers(found) if found else None
        text = explanation(normalised(explain), families(settled(manifest)), locked(manifest), on)
        if not text:
            raise UsageError(
                f"no lock holds {explain}", "`slimbake lock` brings the locks up to date"
            )
        click.echo(text)
    else:
        names = tuple(name if name in ALL else normalised(name) for name in upgrade)
        held = {pin.name for pins in locked(manifest).values() for pin in pins}
        held |= {deb.name for debs in system_locks(manifest).values() for deb in debs}
        if unknown := [name for name in names if name not in {*held, *ALL}]:
            raise UsageError(
                f"no lock holds {', '.join(unknown)}",
                "`slimbake lock --upgrade` without a name takes all",
            )
        changed = lock(manifest, machine(), console, ALL if ALL[0] in names else names)
        click.echo(
            "\n".join(f"locks/{name}" for name in changed) if changed else "the locks are fresh"
        )
