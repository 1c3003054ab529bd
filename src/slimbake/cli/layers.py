"""`slimbake layers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slimbake.cli.common import console, json_option, manifest_option, print_json, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimbake.config.model import Manifest
    from slimbake.layering.cost import Cost
    from slimbake.layering.model import Fleet, Group, LayerPlan
    from slimbake.lock.closures import Sizes, Written


@click.command("layers")
@manifest_option
@json_option
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Layers of an image at most.  [default: the manifest's `layers`, or 10]",
)
@click.option(
    "--reserved",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Of these, for the runtime and the code.",
)
@click.option(
    "--what-if",
    "requirement",
    metavar="REQUIREMENT",
    help=(
        "Which images and bytes change if the fleet had this requirement too, such as"
        " 'torch>=2.13'."
    ),
)
@click.option(
    "--measured", type=click.Path(path_type=Path), help="What `slimbake sizes --json` printed."
)
def command(
    file: Path,
    as_json: bool,
    limit: int | None,
    reserved: int,
    measured: Path | None,
    requirement: str | None,
) -> None:
    """Show the layers that packages and weights lie in, and what the planner would do better."""
    from slimbake.console import tables as report
    from slimbake.errors import StaleFiles, UsageError
    from slimbake.layering import report as shown
    from slimbake.layering.bases import bases, laid
    from slimbake.layering.cost import bound, cost
    from slimbake.layering.model import Limits, Prices
    from slimbake.layering.planner import layer_plan
    from slimbake.lock import locked, settled, stale
    from slimbake.lock.closures import sizes, written
    from slimbake.lock.model import is_auto

    manifest, _ = read(file)
    limit = limit or manifest.layer_limit or Limits().layers
    if reserved >= limit:
        raise UsageError(
            f"--limit {limit} leaves no layer beside --reserved {reserved}", "raise --limit"
        )
    if old := stale(manifest):
        raise StaleFiles(f"locks are stale: {', '.join(map(str, old))}", "`slimbake lock` mends it")
    bytes_ = sizes(measured) if measured else {}
    hand = written(settled(manifest), locked(manifest), bytes_)
    if requirement:
        _what_if(manifest, hand, requirement, bytes_, as_json)
        return
    fleet, limits, prices = hand.fleet, Limits(limit, reserved), Prices()
    try:
        planned = laid(bases(fleet, layer_plan(fleet, limits, prices)))
    except ValueError as error:
        raise UsageError(str(error), "raise --limit, or lower --reserved") from None
    costs = {"written": cost(fleet, hand.plan), "planned": cost(fleet, planned)}
    least = bound(fleet)
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
    now = "as locks/layers.json has them" if is_auto(manifest) else "as the manifest writes them"
    for title, plan in ((now, hand.plan), ("as the planner would lay them", planned)):
        click.echo(f"Layers of packages and weights, {title}:\n")
        rows = shown.group_rows(fleet, plan, hand.names if plan is hand.plan else {})
        click.echo(report.text_table(shown.GROUP_HEADINGS, rows, left=3) + "\n")
        for line in shown.duplicates(fleet, plan):
            click.echo(line)
    click.echo(report.text_table(shown.COST_HEADINGS, shown.cost_rows(costs, least), left=1))
    click.echo("\n" + shown.verdict(costs["written"], costs["planned"], prices))


def _what_if(
    manifest: Manifest, before: Written, requirement: str, bytes_: Sizes, as_json: bool
) -> None:
    from dataclasses import asdict

    from slimbake.console import tables as report
    from slimbake.host.machine import machine
    from slimbake.layering import report as shown
    from slimbake.layering.change import what_if
    from slimbake.lock.closures import written
    from slimbake.lock.supposed import supposed

    settled, locks = supposed(manifest, machine(), requirement, console)
    after = written(settled, locks, bytes_)
    change = what_if(before.fleet, after.fleet, before.plan, after.plan)
    if as_json:
        print_json(asdict(change))
        return
    if change.images:
        click.echo(
            report.text_table(shown.CHANGE_HEADINGS, shown.change_rows(change), left=2) + "\n"
        )
    click.echo(shown.change_summary(change, len(manifest.services)))


def _json(
    fleet: Fleet, plan: LayerPlan, counted: Cost, names: Mapping[Group, str]
) -> dict[str, Any]:
    """Bytes; the layers of each image, bottom first."""
    from dataclasses import asdict

    from slimbake.layering.report import duplicated

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
