"""`slimbake report`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import FILE, console, manifest_option, read
from slimbake.host.workspace import FOLDER


@click.command(
    "report",
    epilog=examples("slimbake report", "slimbake report --output report.html"),
)
@manifest_option
@click.option(
    "-o",
    "--output",
    type=FILE,
    help=f"Write the page to FILE. [default: {FOLDER}/report.html]",
    metavar="FILE",
)
def command(file: Path, output: Path | None) -> None:
    """Write one HTML page about the fleet: sizes, sharing, packages, rules.

    The page shows the images of the last bake on this machine, and needs no network. slimbake
    builds and measures nothing for it: what is not recorded yet is listed with the command that
    records it.
    """
    from slimbake.report import write_report

    facts, page = write_report(read(file), output)
    for what, how in facts["missing"]:
        console.say(f"not recorded: {what}; `{how}` records it")
    click.echo(f"{os.path.relpath(page)}: {page.stat().st_size / 1e3:,.0f} kB")
