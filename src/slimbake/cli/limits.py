"""`slimbake limits`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake import docker
from slimbake.advise.facts import LIMITS
from slimbake.checks.mounts import mounted
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    image_names,
    image_options,
    output_options,
    print_json,
    print_text,
    read,
    record,
    select,
    service_options,
)
from slimbake.console.tables import Layout
from slimbake.errors import CheckError
from slimbake.proof import limits as report
from slimbake.proof.limits import measured_limits
from slimbake.proof.smallest import smallest


@click.command(
    "limits",
    epilog=examples("slimbake limits api", "slimbake limits --at-most 1.5"),
)
@service_options
@output_options
@click.option("--again", is_flag=True, help="Measure again what is known.")
@click.option(
    "--record",
    "recorded",
    is_flag=True,
    help="Write bake/evidence/limits.json, too, which `advise` reads.",
)
@click.option(
    "--at-most",
    type=click.FloatRange(1),
    metavar="N",
    help="Fail if an image holds more than N times what is used, above the runtime.",
)
@image_options
def command(
    services: tuple[str, ...],
    variant: str,
    file: Path,
    as_json: bool,
    layout: Layout,
    again: bool,
    recorded: bool,
    at_most: float | None,
    tag: str,
    registry: str,
) -> None:
    """Compare images with what their workloads need: files opened, pages touched, the smallest set
    found to work.

    Runs every service's smoke in a container of its image from a cold page cache, one after the
    other: what lies in a layer is used if any service on it opens it. Says which kind of action is
    left: prune, strip, another runtime, quantise. What was found is kept in .slimbake/limits.
    """

    project = read(file)
    plan = project.plan
    chosen = select(plan, services, variant)
    fleet = {*select(plan, (), variant), *chosen}
    every = image_names(plan, registry, tag)
    names = {name: reference for name, reference in every.items() if name in fleet}
    ids = docker.image_ids(names)
    plan = mounted(plan, every, fleet)
    measured = measured_limits(
        plan, ids, project.root, project.workspace, console, smallest(project), again=again
    )
    found = tuple(each for each in measured if each.service in chosen)
    made = {each.service: each.as_json() for each in found}
    if recorded:
        record(made, project.root / LIMITS)
    if as_json:
        print_json(made)
    else:
        print_text(report.limits_text(found, layout), layout)
    if at_most is not None and (over := report.above(found, at_most)):
        raise CheckError("\n".join(over), "docs/limits.md says what counts as used")
