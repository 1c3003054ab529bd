"""`slimbake layers`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    layout,
    manifest_option,
    print_text,
    read,
)
from slimbake.console import tables as report
from slimbake.fleet.layering import report as shown
from slimbake.fleet.layering.cost import cost, least_cost
from slimbake.fleet.layering.model import LIMIT, RESERVED
from slimbake.fleet.layering.planner import layer_plan
from slimbake.lock.closures import written
from slimbake.lock.locks import locked_pins
from slimbake.report.hints import share_hints


@click.command(
    "layers",
    epilog=examples("slimbake layers", "slimbake layers --manifest deploy/services.yaml"),
)
@manifest_option
def command(file: Path) -> None:
    """Show which packages are in which layers, and what the planner would improve.

    Sizes are those of the wheels, and on a host estimated from them.
    """

    project = read(file)
    project.expect_fresh_locks()
    hand = written(project.fleet, locked_pins(project.fleet, project.locks))
    fleet = hand.fleet
    planned = layer_plan(fleet, (project.manifest.layer_limit or LIMIT) - RESERVED)
    costs = {"written": cost(fleet, hand.plan), "planned": cost(fleet, planned)}
    least = least_cost(fleet)
    better = costs["planned"].value < 0.99 * costs["written"].value
    others = [("as the planner would lay them without bases", planned)] if better else []
    for title, plan in (("as they are", hand.plan), *others):
        click.echo(f"Layers of packages, {title}:\n")
        rows = shown.group_rows(fleet, plan, hand.names if plan is hand.plan else {})
        click.echo(report.text_table(shown.GROUP_HEADINGS, rows, 3, layout()) + "\n")
        for line in shown.duplicates(fleet, plan):
            click.echo(line)
    for line in share_hints(project.fleet, hand):
        print_text(f"hint: {line}\n")
    click.echo(report.text_table(shown.COST_HEADINGS, shown.cost_rows(costs, least), 1, layout()))
    print_text(f"\n{shown.COST_WORDS}")
