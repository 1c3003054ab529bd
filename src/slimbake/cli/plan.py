"""`slimbake plan`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from slimbake.cli.common import (
    json_option,
    manifest_option,
    print_json,
    read,
    select,
    services_argument,
    tell_losses,
    variant_option,
)
from slimbake.console.tables import text_table


@click.command("plan")
@services_argument
@variant_option
@manifest_option
@json_option
def command(services: tuple[str, ...], variant: str, file: Path, as_json: bool) -> None:
    """Show what is decided: every target, what it uses, and what it adds; of all services or
    those named.
    """

    project = read(file)
    plan = project.plan
    tell_losses(project)
    targets = plan.needed(plan.with_checks(select(plan, services, variant)))
    if as_json:
        print_json({**asdict(plan), "targets": [asdict(target) for target in targets]})
        return
    rows = [(t.name, t.kind, " ".join(t.needs), t.dockerfile) for t in targets]
    click.echo(text_table(("target", "kind", "uses", "dockerfile"), rows, left=4))
