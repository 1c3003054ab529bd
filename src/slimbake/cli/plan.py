"""`slimbake plan`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    output_options,
    print_json,
    read,
    select,
    service_options,
)
from slimbake.console.tables import Layout, text_table


@click.command(
    "plan",
    epilog=examples("slimbake plan api", "slimbake plan --json"),
)
@service_options
@output_options
def command(
    services: tuple[str, ...], variant: str, file: Path, as_json: bool, layout: Layout
) -> None:
    """List the targets of the build: what each needs, and its Dockerfile."""

    project = read(file)
    plan = project.plan
    targets = plan.needed(plan.with_checks(select(plan, services, variant)))
    if as_json:
        print_json({**asdict(plan), "targets": [asdict(target) for target in targets]})
        return
    rows = [(t.name, t.kind, " ".join(t.needs), t.dockerfile) for t in targets]
    click.echo(text_table(("target", "kind", "needs", "dockerfile"), rows, left=4, layout=layout))
