"""`slimbake fingerprint`."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slimbake.ci.changes import changed, changed_in, range_of
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    manifest_option,
    output_options,
    print_json,
    print_text,
    read,
    service_names,
)
from slimbake.config.report import did_you_mean
from slimbake.console.tables import Layout, text_table
from slimbake.errors import UsageError
from slimbake.fingerprint import accounts, fingerprint_tag, of_services
from slimbake.fingerprint.compare import TargetChange
from slimbake.fingerprint.model import BELOW, Account, ExternalDigests
from slimbake.plan.model import Plan
from slimbake.render.generated import laid_out

if TYPE_CHECKING:
    from slimbake.project import Project


@click.command(
    "fingerprint",
    epilog=examples("slimbake fingerprint api --explain", "slimbake fingerprint v1..HEAD"),
)
@click.argument("words", nargs=-1, metavar="[A..B] [TARGET]...", shell_complete=service_names)
@manifest_option
@output_options
@click.option("--explain", is_flag=True, help="List what each target depends on.")
@click.option("--since", default="", metavar="REV", help="Compare the work tree with a commit.")
@click.option(
    "--local",
    is_flag=True,
    help="Use the external images of this machine, stand-ins too.",
)
def command(
    words: tuple[str, ...],
    file: Path,
    as_json: bool,
    layout: Layout,
    explain: bool,
    since: str,
    local: bool,
) -> None:
    """Print the fingerprint of each target; with A..B, say what changed between two commits, and
    what it rebuilds.

    A fingerprint is a hash of all that a target's content depends on: the same everywhere for the
    same inputs.
    """

    gc.disable()  # there are many small values, and none in circles
    ranges = [word for word in words if range_of(word)]
    names = tuple(word for word in words if word not in ranges)
    if len(ranges) + bool(since) > 1:
        raise UsageError("one comparison at a time: A..B, or --since REV", "leave one out")
    if (ranges or since) and (explain or local):
        raise UsageError(
            "a comparison takes neither --explain nor --local", "it always says why, from Git alone"
        )
    if ranges or since:
        found = (
            changed_in(file, ranges[0], os.environ)
            if ranges
            else changed(file, since, None, os.environ)
        )
        _check(names, [each.target for each in found])
        _print_changes(
            [each for each in found if not names or each.target in names], as_json, layout
        )
        return

    project = read(file)
    plan = project.plan
    root = project.root
    _check(names, [target.name for target in plan.targets])
    files = {each.path: each for each in laid_out(plan, root)}
    around = _external_digests(project) if local else None
    said = accounts(plan, root, project.workspace, around, os.environ, files)
    _print(
        plan, [each for each in said if not names or each.target in names], explain, as_json, layout
    )


def _check(names: Sequence[str], known: Sequence[str]) -> None:

    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no target '{name}'",
                did_you_mean(name, known) or f"the targets are: {', '.join(known)}",
            )


def _external_digests(project: Project) -> ExternalDigests:
    from slimbake.build.site import seen

    return seen(project, console).around.external_digests


def _print(
    plan: Plan, said: Sequence[Account], explain: bool, as_json: bool, layout: Layout
) -> None:

    if as_json:
        services = of_services(
            plan, {each.target: each.fingerprint for each in said if each.fingerprint}
        )
        targets: dict[str, Any] = {each.target: _as_json(each, explain) for each in said}
        print_json(
            {
                "targets": targets,
                "tags": {name: fingerprint_tag(value) for name, value in services.items()},
            }
        )
        return
    if not explain:
        click.echo(
            text_table(
                ("target", "fingerprint"),
                [(e.target, e.fingerprint or "unknown") for e in said],
                left=2,
                layout=layout,
            )
        )
        for reason, names in _unknown(said).items():
            console.say(f"{', '.join(names)}: {reason}")
        return
    for each in said:
        print_text(f"{each.target}  {each.fingerprint or 'unknown'}", layout)
        for one in each.inputs:
            print_text(f"  {one.kind} {one.name}  {one.digest}".rstrip(), layout)
        for reason in each.unknown:
            print_text(f"  unknown: {reason}", layout)


def _unknown(said: Sequence[Account]) -> dict[str, list[str]]:
    """Why fingerprints are unknown, each reason once, and whose they are; not of what only stands
    on those.
    """

    found: dict[str, list[str]] = {}
    for each in said:
        for reason in (reason for reason in each.unknown if not reason.startswith(BELOW)):
            found.setdefault(reason, []).append(each.target)
    return found


def _as_json(each: Account, explain: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"fingerprint": each.fingerprint or None, "unknown": list(each.unknown)}
    if explain:
        found["inputs"] = [
            {"kind": one.kind, "name": one.name, "digest": one.digest} for one in each.inputs
        ]
    return found


def _print_changes(found: Sequence[TargetChange], as_json: bool, layout: Layout) -> None:

    if as_json:
        print_json(
            {
                e.target: {"status": e.status, "rebuilt": e.rebuilt, "reasons": list(e.reasons)}
                for e in found
            }
        )
        return
    rows = [
        (each.target, each.status, "; ".join(each.reasons) or "no input changed") for each in found
    ]
    click.echo(text_table(("target", "state", "why"), rows, 3, layout))
