"""`slimbake plan`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    json_option,
    manifest_option,
    print_json,
    read,
    select,
    services_argument,
    table_width,
)
from slimbake.console.tables import text_table


@click.command(
    "plan",
    epilog=examples("slimbake plan api", "slimbake plan --since v1"),
)
@services_argument
@manifest_option
@json_option
@click.option(
    "--since", metavar="REV", help="Say what changed since a commit, and what it rebuilds."
)
def command(services: tuple[str, ...], file: Path, as_json: bool, since: str | None) -> None:
    """List the targets of the build: what each needs, and its Dockerfile.

    --since compares all that a target's content depends on with what a commit has, from Git alone.
    """

    plan = read(file).plan
    targets = plan.needed(plan.with_checks(select(plan, services)))
    if since:
        names = {target.name for target in targets}
        _changes(file, since, names if services else set(), as_json)
    elif as_json:
        print_json({**asdict(plan), "targets": [asdict(target) for target in targets]})
    else:
        rows = [(t.name, t.kind, " ".join(t.needs), t.dockerfile) for t in targets]
        click.echo(
            text_table(("target", "kind", "needs", "dockerfile"), rows, left=4, width=table_width())
        )


def _changes(file: Path, since: str, targets: set[str], as_json: bool) -> None:
    """What changed of these targets; where there is none, of all, and of those that are gone."""
    from slimbake.ci.changes import changed

    rows = []
    result = {}
    for change in changed(file, since, os.environ):
        if targets and change.target not in targets:
            continue
        reasons = "; ".join(change.reasons) or "no input changed"
        rows.append((change.target, change.status, reasons))
        result[change.target] = {
            "status": change.status,
            "rebuilt": change.rebuilt,
            "reasons": list(change.reasons),
        }
    if as_json:
        print_json(result)
    else:
        click.echo(text_table(("target", "state", "why"), rows, 3, table_width()))
