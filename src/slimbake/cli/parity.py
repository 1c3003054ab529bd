"""`slimbake parity`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slimbake.build.bake import bake
from slimbake.build.command import BakeOptions
from slimbake.build.site import Preparation, hold
from slimbake.checks import parity
from slimbake.checks.parity import parity_table
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    all_variants_option,
    console,
    manifest_option,
    output_options,
    read,
    select,
    services_argument,
)
from slimbake.console.tables import Layout
from slimbake.errors import NothingSelected, UsageError


@click.command(
    "parity",
    epilog=examples("slimbake parity embedding-onnx", "slimbake parity --record"),
)
@services_argument
@all_variants_option
@manifest_option
@output_options
@click.option("--record", is_flag=True, help="Write the figures to bake/parity.json.")
@click.option(
    "--control",
    is_flag=True,
    help="Damage the models on purpose, and report whether parity notices.",
)
def command(
    services: tuple[str, ...],
    variant: str,
    file: Path,
    as_json: bool,
    layout: Layout,
    record: bool,
    control: bool,
) -> None:
    """Build the services and compare their models' answers with torch's. Moves no tag."""

    project = read(file)
    plan = project.plan
    able = {target.service for target in plan.targets if target.kind == "parity"}
    if services or variant:
        chosen = select(plan, services, variant)
        if services and (missing := [name for name in chosen if name not in able]):
            raise UsageError(
                f"no parity: {', '.join(missing)}", "give the service a `parity:` in the manifest"
            )
        chosen = tuple(name for name in chosen if name in able)
    else:  # of all variants: the default one of most services is torch itself
        chosen = tuple(service.service for service in plan.services if service.service in able)
    if not chosen:
        raise NothingSelected("no service has a parity", "give one a `parity:` in the manifest")
    with hold(project, Preparation(targets=chosen), console) as held:
        site = held.stocked(chosen)
        if control:
            controls = tuple(f"{service}-controls" for service in chosen)
            bake(site, controls, BakeOptions(), checks=False)
            click.echo(f"every control is caught: {', '.join(chosen)}")
            return
        bake(site, chosen, BakeOptions())
    figures = parity.measured_parity(project.workspace, chosen)
    if record:
        parity.write_parity(figures, project.root)
        console.say(f"kept in {parity.FILE}")
    click.echo(
        json.dumps(figures, indent=1, sort_keys=True) if as_json else parity_table(figures, layout)
    )
