"""`slimbake check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    json_option,
    layout,
    manifest_option,
    print_json,
    read,
    select,
    services_argument,
)
from slimbake.errors import CheckError, StaleFiles, UsageError

if TYPE_CHECKING:
    from slimbake.checks.verify import Verdict
    from slimbake.project import Project
    from slimbake.release.site import Site


@click.command(
    "check",
    epilog=examples("slimbake check", "slimbake check --images embedding-onnx"),
)
@services_argument
@manifest_option
@json_option
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
    services: tuple[str, ...],
    file: Path,
    as_json: bool,
    images: bool,
    record: bool,
    reference: bool,
) -> None:
    """Check the manifest and all files that it names, the locks and the generated files.

    Reports all problems at once, with line, column and a suggested fix; exits with 4 if a lock or a
    generated file is stale, with 6 if a check of an image fails.
    """
    project = read(file)
    if reference:
        _reference(project, services)
        return
    if not images and (services or as_json or record):
        raise UsageError("this is about images", "add --images")
    if images:
        _images(project, services, as_json, record)
    else:
        _files(project)


def _files(project: Project) -> None:
    """Raises StaleFiles."""
    from slimbake.ci.tool import tool_fault
    from slimbake.lock.removal import unmatched
    from slimbake.lock.wheelhouse.store import store
    from slimbake.render.generated import drift, laid_out

    name, written, targets = project.manifest.file.name, project.asked, project.plan.targets
    for line in unmatched(project.fleet, project.locks, store()):
        console.say(f"warning: {name}: {line}: no file of the locked packages matches")
    counts = (("service", written.services), ("base", written.bases), ("target", targets))
    words = ", ".join(f"{len(each)} {noun}{'s' * (len(each) != 1)}" for noun, each in counts)
    click.echo(f"{name}: {words}")
    project.expect_fresh_locks()
    found = drift(laid_out(project.plan, project.root), project.root)
    if stale := (
        *(f"  {each.path} differs" for each in found.write),
        *(f"  {path} is left over" for path in found.remove),
    ):
        raise StaleFiles(
            "\n".join(("generated files are stale", *stale)), "run `slimbake generate`"
        )
    if fault := tool_fault(project):
        raise fault
    click.echo(f"the locks are fresh, and {found.files} files are as generated")


def _images(project: Project, services: tuple[str, ...], as_json: bool, record: bool) -> None:
    """Build the services and run what checks them. Raises CheckError."""
    from slimbake.checks.parity import measured_parity, parity_table, write_parity
    from slimbake.release.bake import bake
    from slimbake.release.command import BakeOptions, staged
    from slimbake.release.site import Preparation, hold

    plan = project.plan
    kinds = {
        kind: [t.service for t in plan.targets if t.kind == kind] for kind in ("smoke", "parity")
    }
    chosen = select(plan, services)
    if not services:  # the default variant of most services is what parity compares with
        chosen = tuple(dict.fromkeys((*chosen, *kinds["parity"])))
    smokes, parities = ([n for n in chosen if n in kinds[kind]] for kind in ("smoke", "parity"))
    with hold(project, Preparation(targets=chosen), console) as held:
        site = held.stocked(chosen)
        options = BakeOptions(load=site.engine.builder != "docker")
        bake(site, plan.with_weights(chosen), options)
        tell = console.say if as_json else click.echo
        if smokes:
            tell(f"smoke: passed: {', '.join(smokes)}")
        if without := [name for name in chosen if name not in smokes]:
            console.say(f"no smoke: {', '.join(without)}; a bake only starts them")
        names = {n: staged(plan, n, site.around.checkout) for n in plan.with_weights(chosen)}
        verdicts = _verified(site, chosen, names, tell)
    figures = measured_parity(project.workspace, parities)
    if record:
        write_parity(figures, project.root)
    if as_json:
        verified = [each.as_json() for each in verdicts]
        print_json({"smoke": smokes, "verify": verified, "parity": figures})
    elif figures:
        click.echo(parity_table(figures, layout()))
    if failed := [each.service for each in verdicts if not each.holds]:
        raise CheckError(
            f"{len(failed)} of {len(verdicts)} verify checks failed: {', '.join(failed)}"
        )


def _verified(
    site: Site, chosen: tuple[str, ...], names: dict[str, str], tell: Callable[[str], None]
) -> list[Verdict]:
    """Call the images from outside, one after another."""
    from slimbake.checks.mounts import mounted
    from slimbake.checks.surroundings import crowded
    from slimbake.checks.verify import Limit, verify

    plan, limit = mounted(site.plan, names, chosen), Limit(seconds=Limit().seconds * crowded())
    found = []
    for service in [each.service for each in plan.services if each.verify]:
        if service in chosen:
            found.append(verdict := verify(plan, service, names[service], site.root, limit))
            tell(_line(verdict))
            for line in verdict.error.splitlines():
                console.say(f"  {line}")
    return found


def _line(verdict: Verdict) -> str:
    figures = (
        f"{verdict.seconds:.1f} s" if verdict.seconds is not None else "",
        f"start-up {verdict.startup:.2f} s" if verdict.startup is not None else "",
        f"{verdict.rss / 10**6:,.1f} MB resident" if verdict.rss is not None else "",
    )
    words = ", ".join(filter(None, figures))
    state = "passed" if verdict.holds else "failed"
    return f"verify: {verdict.service}: {state}{f' ({words})' if words else ''}"


def _reference(project: Project, services: tuple[str, ...]) -> None:
    """Have the smokes that define `reference` write their files. Raises UsageError for none."""
    from slimbake.deploy.containers import record_reference
    from slimbake.host.files import write_atomically
    from slimbake.release.bare import bare_images, weights_mounted
    from slimbake.release.site import Preparation, hold

    root, files = project.root, _recorded_by(project)
    chosen = tuple(name for name in select(project.plan, services) if name in files)
    if not chosen or any(name not in files for name in services):
        raise UsageError("no smoke here has a `reference`", "define one: docs/checks.md")
    with hold(project, Preparation(targets=chosen), console) as held:
        site = held.stocked(chosen)
        plan = weights_mounted(site, chosen)
        for image in bare_images(site, chosen, checks=False):
            text = record_reference(plan, image.name, image.image, root)
            write_atomically(files[image.name], text.encode())
            click.echo(files[image.name].relative_to(root))


def _recorded_by(project: Project) -> dict[str, Path]:
    """The reference file of each service whose smoke writes one."""
    found: dict[str, Path] = {}
    for smoke in (target for target in project.plan.targets if target.kind == "smoke"):
        source, path = (project.root / smoke.context / name for name in smoke.smoke_files)
        if "def reference(" in source.read_text("utf-8"):
            found[smoke.service] = path
    return found
