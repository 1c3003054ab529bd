"""`slimbake prove`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import json_option, manifest_option, print_json, say, select, services_argument


@click.command("prove")
@services_argument
@manifest_option
@json_option
@click.option("--pass", "names", multiple=True, metavar="NAME", help="Only this pass; may be given several times.")
@click.option("--stale", is_flag=True, help="Only what has no fresh evidence.")
@click.option("--install-engine", is_flag=True, help="Install a Docker engine if there is none.")
def command(
    services: tuple[str, ...], file: Path, as_json: bool, names: tuple[str, ...], stale: bool, install_engine: bool
) -> None:
    """Try passes on the layers of these services, with every smoke on them; what is found goes to evidence/."""
    from slimbake.cli.common import read
    from slimbake.prove import prove
    from slimbake.report.evidence import evidence_tables

    manifest, plan = read(file)
    chosen = tuple(s.service for s in plan.services) if not services else select(plan, services)
    found = prove(manifest, chosen, say, names=names, only_stale=stale, install=install_engine)
    if as_json:
        print_json({each.layer: each.as_json() for each in found})
    else:
        click.echo(evidence_tables(found))
