"""`slimbake smoke`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.build.bake import bake
from slimbake.build.bare import bare_images, weights_mounted
from slimbake.build.command import BakeOptions
from slimbake.build.site import Preparation, hold
from slimbake.cli.commands import examples
from slimbake.cli.common import console, read, select, service_options
from slimbake.deploy import containers
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically


@click.command(
    "smoke",
    epilog=examples("slimbake smoke api", "slimbake smoke embedding --reference"),
)
@service_options
@click.option(
    "--reference",
    is_flag=True,
    help="Write the reference that parity compares with, from images without optimisation.",
)
def command(services: tuple[str, ...], variant: str, file: Path, reference: bool) -> None:
    """Build the services and run their smokes in them, without network or root. Moves no tag."""

    project = read(file)
    root = project.root
    smokes = {t.service: t for t in project.plan.targets if t.kind == "smoke"}
    asked = select(project.plan, services, variant)
    chosen = tuple(name for name in asked if services or name in smokes)
    missing = [name for name in asked if name not in smokes]
    if missing and (services or not chosen):
        raise UsageError(
            f"no smoke: {', '.join(missing)}", "give the service a `smoke:` in the manifest"
        )
    with hold(project, Preparation(targets=chosen), console) as held:
        site = held.stocked(chosen)
        if not reference:
            bake(site, chosen, BakeOptions())
            said = f"{len(chosen)} smoke{'s' * (len(chosen) > 1)} passed"
            click.echo(f"{said}: {', '.join(chosen)}")
            if missing:
                console.say(f"no smoke: {', '.join(missing)}; a bake only starts them")
            return
        plan = weights_mounted(site, chosen)
        for image in bare_images(site, chosen, checks=False):
            smoke = smokes[image.name]
            source, path = (root / smoke.context / name for name in smoke.smoke_files)
            if "def reference(" in source.read_text("utf-8"):
                text = containers.record_reference(plan, image.name, image.image, root)
                write_atomically(path, text.encode())
                click.echo(path.relative_to(root))
