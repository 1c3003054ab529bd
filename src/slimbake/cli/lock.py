"""`slimbake lock`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import manifest_option, read, say
from slimbake.errors import StaleFiles


@click.command("lock")
@manifest_option
@click.option("--check", is_flag=True, help="Resolve nothing; end with 4 if a lock is stale.")
@click.option("--upgrade", is_flag=True, help="Take the newest versions that fit.")
def command(file: Path, check: bool, upgrade: bool) -> None:
    """Resolve the exact, hash-verified packages of each layer into locks/."""
    from slimbake.lock import lock, stale
    from slimbake.machine import machine

    manifest, _ = read(file)
    if check:
        old = [layer.name for family in stale(manifest) for layer in family.layers]
        if old:
            raise StaleFiles(f"locks are stale: {', '.join(old)}", "`slimbake lock` mends it")
        click.echo("the locks are fresh")
        return
    changed = lock(manifest, machine(), say, upgrade)
    click.echo("\n".join(f"locks/{name}" for name in changed) if changed else "the locks are fresh")
