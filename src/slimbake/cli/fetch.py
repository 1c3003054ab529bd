"""`slimbake fetch`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, json_option, manifest_option, print_json, read
from slimbake.host.machine import machine
from slimbake.lock.wheelhouse import fetch, fetch_debian
from slimbake.lock.wheelhouse.store import store


@click.command(
    "fetch",
    epilog=examples("slimbake fetch", "slimbake fetch --rehash"),
)
@manifest_option
@json_option
@click.option(
    "--rehash", is_flag=True, help="Check the hashes of all files, and download damaged ones again."
)
def command(file: Path, as_json: bool, rehash: bool) -> None:
    """Download every file of the locks, so that a build needs no network."""

    project = read(file)
    project.expect_fresh_locks()
    kept = store()
    wheels = fetch(project.fleet, project.locks, machine(), kept, console, rehash)
    debs = fetch_debian(project.fleet, project.locks, machine(), kept, console, rehash)
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
