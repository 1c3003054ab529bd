"""`slimbake prove`."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    output_options,
    pass_names,
    print_json,
    print_text,
    select,
    service_options,
)
from slimbake.config.model import LEVELS, Level
from slimbake.console.tables import Layout
from slimbake.host.wheels import MACHINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimbake.plan.model import Plan
    from slimbake.project import Project


@click.command(
    "prove",
    epilog=examples(
        "slimbake prove --untried --level narrowed", "slimbake prove embedding --pass torch.test"
    ),
)
@service_options
@output_options
@click.option(
    "--pass",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=pass_names,
    help="Try only this pass; repeatable.",
)
@click.option("--stale", is_flag=True, help="Try passes again whose evidence is out of date.")
@click.option("--untried", is_flag=True, help="Try passes that were never tried.")
@click.option(
    "--level",
    type=click.Choice(LEVELS[2:]),
    help="Try passes up to this guarantee.  [default: the manifest's]",
)
@click.option(
    "--platform",
    type=click.Choice([*MACHINES]),
    help="Try passes for this platform; evidence of others stays.  [default: this machine's]",
)
@click.option(
    "--control",
    is_flag=True,
    help="Break the images on purpose, and report whether the smokes notice.",
)
@click.option(
    "--recheck",
    is_flag=True,
    help="Try a random sample of the recorded evidence again.",
)
@click.option("--sample", default=3, show_default=True, help="With --recheck: number of passes.")
@click.option(
    "--since",
    default="",
    metavar="REV",
    help="With --recheck: also try every pass whose evidence has changed since this commit.",
)
@click.option("--seed", type=int, help="With --recheck: draw the same sample again.")
@click.option(
    "--images",
    is_flag=True,
    help="Measure images without passes and with them instead: bytes, start-up, memory.",
)
@click.option("--environment", is_flag=True, help="Measure variables of the running image instead.")
@click.option("--warm", is_flag=True, help="Refresh the lists of modules that starts need instead.")
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="With --warm: write nothing, and fail (4) if a start imports a cold module.",
)
@click.option("--install-engine", is_flag=True, help="Install a Docker engine if there is none.")
def command(
    services: tuple[str, ...],
    variant: str,
    file: Path,
    as_json: bool,
    layout: Layout,
    names: tuple[str, ...],
    stale: bool,
    untried: bool,
    level: Level | None,
    platform: str | None,
    control: bool,
    recheck: bool,
    sample: int,
    since: str,
    seed: int | None,
    images: bool,
    environment: bool,
    warm: bool,
    only_check: bool,
    install_engine: bool,
) -> None:
    """Try passes on the layers of these services, with every smoke on them, and write the result to
    bake/evidence/.
    """
    from slimbake.cli.common import read
    from slimbake.errors import CheckError, UsageError
    from slimbake.proof import prove as proving
    from slimbake.proof.layers import Choice
    from slimbake.proof.report import control_fault, control_table, evidence_tables, sample_table

    project = read(file)
    plan = project.plan
    chosen = select(plan, services, variant)
    checked = [name for name in chosen if services or _has_smoke(plan, name)]
    if only_check and not warm:
        raise UsageError("--check compares the lists of --warm", "--warm --check")
    if platform and (warm or control or images or environment):
        raise UsageError(
            "--platform is for trials of passes, and for --recheck",
            "leave it out: the images of this machine's platform are used",
        )
    if warm:
        _refresh_warm(project, chosen, as_json, layout, only_check, install_engine)
        return
    if control:
        caught = proving.controls(project, checked, console)
        click.echo(
            json.dumps([asdict(each) for each in caught], indent=2)
            if as_json
            else control_table(caught, layout)
        )
        if fault := control_fault(caught):
            raise CheckError(fault)
        return
    if recheck:
        drawn_by = secrets.randbelow(10**6) if seed is None else seed
        compared = proving.check(
            project,
            chosen,
            console,
            sample,
            drawn_by,
            every=not services,
            since=since,
            platform=platform or "",
        )
        click.echo(
            json.dumps([asdict(each) for each in compared], indent=2)
            if as_json
            else sample_table(compared, layout)
        )
        if wrong := [each for each in compared if each.differs]:
            names_ = ", ".join(f"{each.name} on {each.layer}" for each in wrong)
            raise CheckError(
                f"the evidence is wrong: {names_}", f"--seed {drawn_by} draws these again"
            )
        return
    if images:
        proving.measure_images(project, checked, console)
        return
    if environment:
        proving.measure_environment(project, checked, console, names=names, only_stale=stale)
        return
    found = proving.prove(
        project,
        chosen,
        console,
        choice=Choice(names=names, stale=stale, untried=untried, level=level),
        every=not services,
        install=install_engine,
        platform=platform or "",
    )
    if as_json:
        print_json({each.layer: each.as_json() for each in found})
    else:
        print_text(evidence_tables(found, layout), layout)


def _refresh_warm(
    project: Project,
    services: Sequence[str],
    as_json: bool,
    layout: Layout,
    only_check: bool,
    install: bool,
) -> None:
    from slimbake.errors import StaleFiles
    from slimbake.proof.warm import cold_at_start, refresh, refreshed_table

    lists = refresh(project, services, console, write=not only_check, install=install)
    if as_json:
        print_json({each.layer: each.as_json() for each in lists})
    else:
        click.echo(refreshed_table(lists, layout))
    if only_check and (words := cold_at_start(lists)):
        raise StaleFiles(words, "`slimbake prove --warm` has it on disk")


def _has_smoke(plan: Plan, service: str) -> bool:
    return any(target.kind == "smoke" and target.service == service for target in plan.targets)
