"""`slimbake setup`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, read
from slimbake.docker import engine
from slimbake.externals.resolve import resolve_externals
from slimbake.host.machine import machine


@click.command(
    "setup",
    epilog=examples("slimbake setup", "slimbake setup --install-engine"),
)
@manifest_option
@click.option(
    "--install-engine",
    is_flag=True,
    help="Install a Docker engine if there is none (Debian, Ubuntu; as root).",
)
@click.option(
    "--stop-engine",
    is_flag=True,
    help="Stop the engine that slimbake started, and do nothing else.",
)
def command(file: Path, install_engine: bool, stop_engine: bool) -> None:
    """Find the engine, or start or install one, and get the external images or stand-ins for them."""

    if stop_engine:
        click.echo(
            "stopped"
            if engine.stop_engine(console)
            else "slimbake started no engine that still runs"
        )
        return
    found = engine.setup(install_engine, console)
    click.echo(
        f"engine {found.version}, {found.store} store, buildx {engine.version_text(found.buildx)}"
    )
    if file.is_file():
        plan = read(file).plan
        for external in resolve_externals(
            plan.externals, plan.python, found, machine(), console, install_engine
        ).resolved:
            click.echo(
                f"{external.name}: {external.context}{' (stand-in)' if external.standin else ''}"
            )
