"""`slimbake fetch`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import console, json_option, manifest_option, print_json, read
from slimbake.errors import StaleFiles


@click.command("fetch")
@manifest_option
@json_option
@click.option(
    "--verify", is_flag=True, help="Hash again whatever is there; what is damaged is fetched anew."
)
def command(file: Path, as_json: bool, verify: bool) -> None:
    """Bring every file of the locks to this machine, so that a build needs no network."""
    from slimbake.host.machine import machine
    from slimbake.lock import stale
    from slimbake.lock.wheelhouse import fetch
    from slimbake.lock.wheelhouse.debs import fetch_debs
    from slimbake.lock.wheelhouse.store import store

    manifest, _ = read(file)
    if old := stale(manifest):
        raise StaleFiles(f"locks are stale: {', '.join(map(str, old))}", "`slimbake lock` mends it")
    kept = store()
    wheels = fetch(manifest, machine(), kept, console, verify)
    debs = fetch_debs(manifest, machine(), kept, console, verify)
    files = {held for layer in (*wheels.by_layer.values(), *debs.values()) for held in layer}
    total = sum(held.path.stat().st_size for held in files)
    if as_json:
        layers = {
            name: [str(held.path) for held in layer]
            for name, layer in (wheels.by_layer | debs).items()
        }
        print_json(
            {"folder": str(kept.root), "fetched": wheels.fetched, "bytes": total, "layers": layers}
        )
    else:
        click.echo(
            f"{len(files)} files, {total / 1e6:,.1f} MB, {wheels.fetched} wheels fetched now:"
            f" {kept.root}"
        )
