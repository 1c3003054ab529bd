"""`slimbake advise`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.advise.advice import advice, advice_text, advise_fleet
from slimbake.advise.facts import facts
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    json_option,
    print_json,
    print_text,
    read,
    select,
    service_options,
)


@click.command(
    "advise",
    epilog=examples("slimbake advise", "slimbake advise embedding --json"),
)
@service_options
@json_option
def command(services: tuple[str, ...], variant: str, file: Path, as_json: bool) -> None:
    """Say what is left to do for each image, what saves most first: prune, share, another runtime,
    int8, another base.

    Reads the locks, what is committed in bake/evidence/, and what was last baked here; builds and runs
    nothing. A figure is measured or says what it is: at least, at most, about (an estimate), or
    unmeasured. Named services leave out what is about the fleet as a whole.
    """

    project = read(file)
    plan = project.plan
    chosen = select(plan, services, variant)
    project.expect_fresh_locks()
    known = facts(project, whole_fleet=not services)
    images, whole = advice(known, chosen), None if services else advise_fleet(known)
    if as_json:
        said = {"images": {each.service: each.as_json() for each in images}}
        print_json(said | ({"fleet": whole.as_json()} if whole else {}))
    else:
        print_text(advice_text((*images, *([whole] if whole else []))))
