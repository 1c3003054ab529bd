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
    layout,
    manifest_option,
    read,
    select,
    services_argument,
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
    name, written = project.manifest.file.name, project.fleet
    counts = {
        "service": len(written.services),
        "base": len(written.bases),
        "target": len(project.plan.targets),
    }
    click.echo(f"{name}: {', '.join(counted(count, noun) for noun, count in counts.items())}")
    click.echo(f"the locks are fresh, and {expect_fresh(project)} files are as generated")


def expect_fresh(project: Project) -> int:
    """Raise StaleFiles where a lock or a generated file is out of date; how many files those are."""
    project.expect_distinct_files()
    project.expect_fresh_locks()
    difference = drift(laid_out(project.plan, project.root), project.root)
    if stale := (
        *(
            f"  {entry.path} {'differs' if (project.root / entry.path).exists() else 'is missing'}"
            for entry in difference.write
        ),
        *(f"  {path} is left over" for path in difference.remove),
    ):
        raise StaleFiles(
            "\n".join(("generated files are stale", *stale)), "run `slimbake generate`"
        )
    if fault := tool_fault(project):
        raise fault
    return difference.files


def _images(project: Project, services: tuple[str, ...], record: bool) -> None:
    """Build the services and run what checks them. Raises CheckError."""
    plan = project.plan
    smokes, parities = (
        {target.service for target in plan.targets if target.kind == kind}
        for kind in ("smoke", "parity")
    )
    chosen = select(plan, services)
    if not services:  # the default variant of most services is what parity compares with
        chosen = select(plan, (*chosen, *parities))
    with hold(project, console, plan.with_weights(chosen)) as prepared:
        site = prepared.stocked(chosen)
        was_empty = known_smokes(project.workspace, project.root, plan.targets)
        options = BakeOptions(
            # A smoke that ran elsewhere would come from a cache, and say nothing.
            sets=tuple(f"{n}-smoke.no-cache=true" for n in chosen if was_empty.get(n, "") is None),
            load=site.engine.builder != "docker",
        )
        bake(site, plan.with_weights(chosen), options)
        empty = {
            name
            for name, hollow in known_smokes(project.workspace, project.root, plan.targets).items()
            if hollow and name in chosen
        }
        for word, having in (("passed", smokes - empty), ("empty", empty)):
            if those := [name for name in chosen if name in having]:
                click.echo(f"smoke: {word}: {', '.join(those)}")
        if without := [name for name in chosen if name not in smokes]:
            console.say(f"no smoke: {', '.join(without)}; a bake only starts them")
        names = {n: staged(plan, n, site.around.checkout) for n in plan.with_weights(chosen)}
        verdicts = _verified(site, chosen, names)
    if figures := measured_parity(project.workspace, (n for n in chosen if n in parities)):
        click.echo(parity_table(figures, layout()))
    if record:
        write_parity(figures, project.root)
    refused = empty - {service.name for service in project.fleet.services if service.trivial}
    if refused:
        raise CheckError(
            f"the smoke of {', '.join(sorted(refused))} imports next to nothing of its image",
            "have it import and run the service's code; or write `smoke: {file: FILE, trivial: true}`",
        )
    if failed := [name for name, holds in verdicts.items() if not holds]:
        raise CheckError(
            f"{len(failed)} of {len(verdicts)} verify checks failed: {', '.join(failed)}"
        )


def _verified(site: Site, chosen: tuple[str, ...], names: dict[str, str]) -> dict[str, bool]:
    """Call the images from outside, one after another; whether each holds."""
    plan = mounted(site.plan, names, chosen)
    holding = {}
    for service in (s.service for s in plan.services if s.verify and s.service in chosen):
        verdict = verify(plan, service, names[service], site.root)
        more = f" (start-up {verdict.startup:.2f} s)" if verdict.startup is not None else ""
        click.echo(f"verify: {service}: {'passed' if verdict.holds else 'failed'}{more}")
        for line in verdict.error.splitlines():
            console.say(f"  {line}")
        holding[service] = verdict.holds
    return holding


def _reference(project: Project, services: tuple[str, ...]) -> None:
    """Have the smokes of these services write what parity compares with. Raises UsageError."""
    root, smokes = project.root, (t for t in project.plan.targets if t.kind == "smoke")
    files = {smoke.service: root / smoke.context / smoke.smoke_files[1] for smoke in smokes}
    chosen = tuple(name for name in select(project.plan, services) if name in files)
    if not services or len(chosen) < len(services):
        raise UsageError("--reference is of services with a smoke", "name them")
    with hold(project, console, project.plan.with_weights(chosen)) as prepared:
        site = prepared.stocked(chosen)
        plan = weights_mounted(site, chosen)
        for image in bare_images(site, chosen, checks=False):
            text = record_reference(plan, image.name, image.image, root)
            write_atomically(files[image.name], text.encode())
            click.echo(files[image.name].relative_to(root))
