"""`slimbake check`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.checks.mounts import mounted
from slimbake.checks.parity import measured_parity, parity_table, write_parity
from slimbake.checks.smokes import known_smokes
from slimbake.checks.verify import verify
from slimbake.ci.tool import tool_fault
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    manifest_option,
    read,
    select,
    services_argument,
    table_width,
)
from slimbake.console.tables import counted
from slimbake.deploy.containers import record_reference
from slimbake.errors import CheckError, StaleFiles, UsageError
from slimbake.host.files import write_atomically
from slimbake.project import Project
from slimbake.release.bake import bake
from slimbake.release.bare import bare_images, weights_mounted
from slimbake.release.command import BakeOptions, staged
from slimbake.release.site import Site, hold
from slimbake.render.generated import drift, laid_out


@click.command(
    "check",
    epilog=examples("slimbake check", "slimbake check --images embedding-onnx"),
)
@services_argument
@manifest_option
@click.option(
    "--images",
    is_flag=True,
    help="Also build the services, and run their smoke, verify and parity. Moves no tag.",
)
@click.option(
    "--record", is_flag=True, help="With --images: write parity's figures to bake/parity.json."
)
@click.option(
    "--reference",
    is_flag=True,
    help="Write the answers that parity compares with, from images without optimisation.",
)
def command(
    services: tuple[str, ...], file: Path, images: bool, record: bool, reference: bool
) -> None:
    """Check the manifest and all files that it names, the locks and the generated files.

    Reports all problems at once, with line, column and a suggested fix; exits with 4 if a lock or a
    generated file is stale, with 6 if a check of an image fails.
    """
    project = read(file)
    if reference:
        _reference(project, services)
    elif images:
        _images(project, services, record)
    elif services or record:
        raise UsageError("this is about images", "add --images")
    else:
        _files(project)


def _files(project: Project) -> None:
    """Raises StaleFiles."""
    services = counted(len(project.fleet.services), "service")
    bases = counted(len(project.fleet.bases), "base")
    targets = counted(len(project.plan.targets), "target")
    click.echo(f"{project.manifest.file.name}: {services}, {bases}, {targets}")
    click.echo(f"the locks are fresh, and {expect_fresh(project)} files are as generated")


def expect_fresh(project: Project) -> int:
    """Raise StaleFiles where a lock or a generated file is out of date; how many files those are."""
    project.expect_distinct_files()
    project.expect_fresh_locks()
    difference = drift(laid_out(project.plan, project.root), project.root)
    lines = ["generated files are stale"]
    for entry in difference.write:
        fault = "differs" if (project.root / entry.path).exists() else "is missing"
        lines.append(f"  {entry.path} {fault}")
    for path in difference.remove:
        lines.append(f"  {path} is left over")
    if len(lines) > 1:
        raise StaleFiles("\n".join(lines), "run `slimbake generate`")
    stale_tool = tool_fault(project)
    if stale_tool:
        raise stale_tool
    return difference.files


def _images(project: Project, services: tuple[str, ...], record: bool) -> None:
    """Build the services and run what checks them. Raises CheckError."""
    plan = project.plan
    parities = {target.service for target in plan.targets if target.kind == "parity"}
    chosen = select(plan, services)
    if not services:  # the default variant of most services is what parity compares with
        chosen = select(plan, (*chosen, *parities))
    with hold(project, console, plan.with_weights(chosen)) as prepared:
        site = prepared.stocked(chosen)
        # A smoke that ran elsewhere would come from a cache, and say nothing.
        sets = tuple(f"{name}-smoke.no-cache=true" for name in _new_smokes(project, chosen))
        options = BakeOptions(sets=sets, load=site.engine.builder != "docker")
        bake(site, plan.with_weights(chosen), options)
        empty = _report_smokes(project, chosen)
        names = {}
        for name in plan.with_weights(chosen):
            names[name] = staged(plan, name, site.around.checkout)
        verdicts = _verified(site, chosen, names)
    figures = measured_parity(project.workspace, [name for name in chosen if name in parities])
    if figures:
        click.echo(parity_table(figures, table_width()))
    if record:
        write_parity(figures, project.root)
    trivial = {service.name for service in project.fleet.services if service.trivial}
    refused = sorted(set(empty) - trivial)
    if refused:
        raise CheckError(
            f"the smoke of {', '.join(refused)} imports next to nothing of its image",
            "have it import and run the service's code; or write `smoke: {file: FILE, trivial: true}`",
        )
    failed = [name for name, holds in verdicts.items() if not holds]
    if failed:
        raise CheckError(
            f"{len(failed)} of {len(verdicts)} verify checks failed: {', '.join(failed)}"
        )


def _new_smokes(project: Project, chosen: tuple[str, ...]) -> list[str]:
    """Those of these services that have a smoke which never ran on this machine."""
    outcomes = known_smokes(project.workspace, project.root, project.plan.targets)
    return [name for name in chosen if name in outcomes and outcomes[name] is None]


def _report_smokes(project: Project, chosen: tuple[str, ...]) -> list[str]:
    """Print which smokes passed; those of the services whose smoke is empty."""
    was_empty = known_smokes(project.workspace, project.root, project.plan.targets)
    passed = []
    empty = []
    without = []
    for name in chosen:
        if name not in was_empty:
            without.append(name)
        elif was_empty[name]:
            empty.append(name)
        else:
            passed.append(name)
    if passed:
        click.echo(f"smoke: passed: {', '.join(passed)}")
    if empty:
        click.echo(f"smoke: empty: {', '.join(empty)}")
    if without:
        console.say(f"no smoke: {', '.join(without)}; a bake only starts them")
    return empty


def _verified(site: Site, chosen: tuple[str, ...], names: dict[str, str]) -> dict[str, bool]:
    """Call the images from outside, one after another; whether each holds."""
    plan = mounted(site.plan, names, chosen)
    holds = {}
    for running in plan.running(chosen):
        if not running.verify:
            continue
        service = running.service
        verdict = verify(plan, service, names[service], site.root)
        line = f"verify: {service}: {'passed' if verdict.holds else 'failed'}"
        if verdict.startup is not None:
            line += f" (start-up {verdict.startup:.2f} s)"
        click.echo(line)
        for line in verdict.error.splitlines():
            console.say(f"  {line}")
        holds[service] = verdict.holds
    return holds


def _reference(project: Project, services: tuple[str, ...]) -> None:
    """Have the smokes of these services write what parity compares with. Raises UsageError."""
    root = project.root
    files = {}
    for target in project.plan.targets:
        if target.kind == "smoke":
            files[target.service] = root / target.context / target.smoke_files[1]
    chosen = tuple(name for name in select(project.plan, services) if name in files)
    if not services or len(chosen) < len(services):
        raise UsageError("--reference is of services with a smoke", "name them")
    with hold(project, console, project.plan.with_weights(chosen)) as prepared:
        site = prepared.stocked(chosen)
        plan = weights_mounted(site, chosen)
        for image in bare_images(site, chosen):
            text = record_reference(plan, image.name, image.image, root)
            write_atomically(files[image.name], text.encode())
            click.echo(files[image.name].relative_to(root))
