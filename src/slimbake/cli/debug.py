"""`slimbake debug`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slimbake.checks.mounts import mounted
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    arguments_argument,
    console,
    image_names,
    manifest_option,
    read,
    select,
    service_names,
)
from slimbake.deploy import containers
from slimbake.docker.engine import expect_engine
from slimbake.externals.resolve import resolve_externals
from slimbake.release.bake import bake
from slimbake.release.command import BakeOptions, staged
from slimbake.release.site import hold


@click.command(
    "debug",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples("slimbake debug api", "slimbake debug api python -c 'import numpy'"),
)
@click.argument("service", shell_complete=service_names)
@arguments_argument
@manifest_option
@click.option(
    "--tag",
    default="",
    help="The released image of this tag.  [default: what the folder gives now]",
)
@click.option("--registry", default="", help="Where that image is.  [default: the manifest's]")
def command(service: str, arguments: tuple[str, ...], file: Path, tag: str, registry: str) -> None:
    """Open a shell (or run a command) in a derived image that also has what the Python image has,
    such as bash and pip, but no curl or gdb; it is never pushed.

    slimbake builds the image first, whether or not its checks pass: after a smoke that failed, you
    get the image that failed. If a service has its own Dockerfile, you get what that image has.
    """

    project = read(file)
    plan = project.plan
    select(plan, (service,))
    if tag or registry:
        names = image_names(plan, registry, tag or "latest")
    else:
        targets = plan.with_weights((service,))
        with hold(project, console, targets) as site:
            bake(site.stocked((service,)), targets, BakeOptions(), checks=False)
            names = {name: staged(plan, name, site.around.checkout) for name in targets}
    image_of_python = plan.target(service).python.image
    externals = tuple(external for external in plan.externals if external.name == image_of_python)
    (python,) = resolve_externals(externals, expect_engine()).resolved
    plan, image = mounted(plan, names, (service,)), names[service]
    sys.exit(containers.debug(plan, service, image, python.context, arguments))
