"""`slimbake smoke`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import (
    console,
    manifest_option,
    read,
    select,
    services_argument,
    variant_option,
)


@click.command("smoke")
@services_argument
@variant_option
@manifest_option
@click.option(
    "--record", is_flag=True, help="Store what parity is compared with, from images without passes."
)
def command(services: tuple[str, ...], variant: str, file: Path, record: bool) -> None:
    """Build the services and run their smokes inside them: no network, no root. Moves no tag."""
    from slimbake.build import bake
    from slimbake.build.command import Options
    from slimbake.build.prepare import prepared
    from slimbake.deploy import containers
    from slimbake.errors import UsageError
    from slimbake.host.files import write_atomically
    from slimbake.proof.subjects import without_passes

    manifest, plan = read(file)
    root = manifest.file.parent
    smokes = {t.service: t for t in plan.targets if t.kind == "smoke"}
    chosen = tuple(name for name in select(plan, services, variant) if services or name in smokes)
    if missing := [name for name in chosen if name not in smokes]:
        raise UsageError(
            f"no smoke: {', '.join(missing)}", "give the service a `smoke:` in the manifest"
        )
    with prepared(manifest, chosen, console) as ready:
        plan = ready.plan
        if not record:
            bake.bake(plan, chosen, root, ready.around, Options())
            click.echo(f"{len(chosen)} smokes hold: {', '.join(chosen)}")
            return
        for image in without_passes(ready, chosen, root, smokes=False):
            path = (
                root
                / smokes[image.name].context
                / dict(smokes[image.name].args).get("REFERENCE", "reference.json")
            )
            if "def reference(" in (path.parent / dict(smokes[image.name].args)["SMOKE"]).read_text(
                "utf-8"
            ):
                write_atomically(
                    path, containers.record(plan, image.name, image.digest, root).encode()
                )
                click.echo(path.relative_to(root))
