"""`slimbake debug`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slimbake.cli.common import image_options, images, manifest_option, read, say, select


@click.command("debug", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("service")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@manifest_option
@image_options
def command(service: str, arguments: tuple[str, ...], file: Path, tag: str, registry: str) -> None:
    """Open a shell (or run a command) in a derived image with a shell and tools; it is never pushed."""
    from slimbake import containers
    from slimbake.engine import setup
    from slimbake.externals import resolve
    from slimbake.machine import machine

    _, plan = read(file)
    select(plan, (service,))
    externals = tuple(external for external in plan.externals if external.name == "python")
    python = resolve(externals, plan.python, setup(False, say), machine(), say)["python"]
    sys.exit(containers.debug(plan, service, images(plan, registry, tag)[service], python.context, arguments))
