"""`slimbake layers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    manifest_option,
    output_options,
    print_json,
    print_text,
    read,
)
from slimbake.console import tables as report
from slimbake.console.tables import Layout
from slimbake.errors import UsageError
from slimbake.fleet.layering import report as shown
from slimbake.fleet.layering.bases import as_layer_plan, planned_bases
from slimbake.fleet.layering.cost import Cost, cost, least_cost
from slimbake.fleet.layering.model import Demand, Group, LayerLimits, LayerPlan, Prices
from slimbake.fleet.layering.planner import layer_plan
from slimbake.fleet.layering.report import duplicated, what_if
from slimbake.host.machine import machine
from slimbake.lock.closures import Written, sizes, written
from slimbake.lock.locking import supposed
from slimbake.lock.locks import locked_pins
from slimbake.lock.model import Sizes
from slimbake.project import Project
from slimbake.report.hints import share_hints


@click.command(
    "layers",
    epilog=examples("slimbake layers", "slimbake layers --what-if 'torch>=2.13'"),
)
@manifest_option
@output_options
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Most layers of an image.  [default: the manifest's `layers`, or 10]",
)
@click.option(
    "--reserved",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="How many of these the runtime and the code take.",
)
@click.option(
    "--what-if",
    "requirement",
    metavar="REQUIREMENT",
    help=(
        "Show which images and bytes change if the fleet had this requirement too, such as"
        " 'torch>=2.13'."
    ),
)
@click.option(
    "--measured",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take sizes from FILE, which `slimbake sizes --json` printed.",
)
def command(
    file: Path,
    as_json: bool,
    layout: Layout,
    limit: int | None,
    reserved: int,
    measured: Path | None,
    requirement: str | None,
) -> None:
    """Show which packages and weights are in which layers, and what the planner would improve."""

    project = read(file)
    limit = limit or project.manifest.layer_limit or LayerLimits().layers
    if reserved >= limit:
        raise UsageError(
            f"--limit {limit} leaves no layer beside --reserved {reserved}", "raise --limit"
        )
    project.expect_fresh_locks()
    bytes_ = sizes(measured) if measured else {}
    hand = written(project.fleet, locked_pins(project.fleet, project.locks), bytes_)
    if requirement:
        _what_if(project, hand, requirement, bytes_, None if as_json else layout)
        return
    fleet, limits, prices = hand.fleet, LayerLimits(limit, reserved), Prices()
    try:
        planned = as_layer_plan(planned_bases(fleet, layer_plan(fleet, limits, prices)))
    except ValueError as error:
        raise UsageError(str(error), "raise --limit, or lower --reserved") from None
    costs = {"written": cost(fleet, hand.plan), "planned": cost(fleet, planned)}
    least = least_cost(fleet)
    if as_json:
        print_json(
            {
                "written": _json(fleet, hand.plan, costs["written"], hand.names),
                "planned": _json(fleet, planned, costs["planned"], {}),
                "bound": {
                    "host": least.host,
                    "registry": least.registry,
                    "pulled": round(least.pulled),
                },
            }
        )
        return
    now = (
        "as bake/locks/layers.json has them"
        if project.asked.auto
        else "as the manifest writes them"
    )
    better = costs["planned"].value(prices) < costs["written"].value(prices) - 1
    others = [("as the planner would lay them", planned)] if better else []
    for title, plan in ((now, hand.plan), *others):
        click.echo(f"Layers of packages and weights, {title}:\n")
        rows = shown.group_rows(fleet, plan, hand.names if plan is hand.plan else {})
        click.echo(report.text_table(shown.GROUP_HEADINGS, rows, 3, layout) + "\n")
        for line in shown.duplicates(fleet, plan):
            click.echo(line)
    for line in () if project.asked.auto else share_hints(project.fleet, hand):
        print_text(f"hint: {line}\n", layout)
    click.echo(report.text_table(shown.COST_HEADINGS, shown.cost_rows(costs, least), 1, layout))
    print_text(f"\n{shown.COST_WORDS}", layout)
    print_text("\n" + shown.verdict(costs["written"], costs["planned"], prices), layout)


def _what_if(
    project: Project, before: Written, requirement: str, bytes_: Sizes, layout: Layout | None
) -> None:

    fleet, pins = supposed(
        project.asked, project.fleet, project.locks, machine(), requirement, console
    )
    after = written(fleet, pins, bytes_)
    change = what_if(before.fleet, after.fleet, before.plan, after.plan)
    if layout is None:
        print_json(asdict(change))
        return
    if change.images:
        click.echo(
            report.text_table(shown.CHANGE_HEADINGS, shown.change_rows(change), 2, layout) + "\n"
        )
    print_text(shown.layout_summary(change, len(project.asked.services)), layout)


def _json(
    fleet: Demand, plan: LayerPlan, counted: Cost, names: Mapping[Group, str]
) -> dict[str, Any]:
    """Bytes; the layers of each image, bottom first."""

    return {
        **asdict(counted),
        "pulled": round(counted.pulled),
        "unpacked": round(counted.unpacked),
        "duplicated": dict(duplicated(plan)),
        "images": {
            chain.service: [
                {
                    "name": names.get(group, ""),
                    "items": sorted(group),
                    "host": sum(fleet.by_key[key].host for key in group),
                    "registry": sum(fleet.by_key[key].registry for key in group),
                }
                for group in chain.groups
            ]
            for chain in plan.chains
        },
    }
