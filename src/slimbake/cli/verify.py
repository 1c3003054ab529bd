"""`slimbake verify`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake import docker
from slimbake.checks.mounts import mounted
from slimbake.checks.surroundings import crowded
from slimbake.checks.verify import Limit, Verdict, verify
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    image_names,
    image_options,
    json_option,
    print_json,
    read,
    select,
    service_options,
)
from slimbake.config.report import RefusedError
from slimbake.config.sizes import size
from slimbake.errors import CheckError, NothingSelected, SetupError, UsageError


@click.command(
    "verify",
    epilog=examples("slimbake verify api --timeout 60", "slimbake verify --json > verify.json"),
)
@service_options
@image_options
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    show_default=f"{Limit().seconds:g}, more on a busy machine",
    metavar="SECONDS",
    help="Time for each service.",
)
@click.option(
    "--memory", default="4GB", show_default=True, metavar="SIZE", help="Memory of each container."
)
@json_option
def command(
    services: tuple[str, ...],
    variant: str,
    file: Path,
    tag: str,
    registry: str,
    timeout: float | None,
    memory: str,
    as_json: bool,
) -> None:
    """Call every route or command of the running images from outside.

    Each service's `verify` file says what must work. Services run one after another, without
    network, root or a writable root file system.
    """

    project = read(file)
    plan = project.plan
    having = [service.service for service in plan.services if service.verify]
    chosen = tuple(name for name in select(plan, services, variant) if services or name in having)
    if missing := [name for name in chosen if name not in having]:
        raise UsageError(
            f"no verify: {', '.join(missing)}", "give the service a `verify:` in the manifest"
        )
    if not chosen:
        raise NothingSelected(
            f"no service of {plan.manifest} has a verify",
            "docs/how-to/smoke-and-verify.md says how to write one",
        )
    names, limits = (
        image_names(plan, registry, tag),
        Limit(seconds=timeout or Limit().seconds * crowded(), memory=_bytes(memory)),
    )
    if absent := [service for service in chosen if not docker.find_image(names[service])]:
        tagged = ", ".join(names[service] for service in absent)
        raise SetupError(f"the engine has no image {tagged}", "`slimbake bake` builds and tags it")
    found, plan = [], mounted(plan, names, chosen)
    for service in chosen:
        verdict = verify(plan, service, names[service], project.root, limits)
        found.append(verdict)
        console.say(_line(verdict)) if as_json else click.echo(_line(verdict))
        for line in verdict.error.splitlines():
            console.say(f"  {line}")
    if as_json:
        print_json([verdict.as_json() for verdict in found])
    if failed := [verdict.service for verdict in found if not verdict.holds]:
        of = f"{len(failed)} of {len(found)} verify checks"
        raise CheckError(f"{of} failed: {', '.join(failed)}")


def _line(verdict: Verdict) -> str:
    figures = (
        f"{verdict.seconds:.1f} s" if verdict.seconds is not None else "",
        f"start-up {verdict.startup:.2f} s" if verdict.startup is not None else "",
        f"{verdict.rss / 10**6:,.1f} MB resident" if verdict.rss is not None else "",
    )
    said = ", ".join(filter(None, figures))
    return (
        f"{verdict.service}:"
        f" {'passed' if verdict.holds else 'failed'}{f' ({said})' if said else ''}"
    )


def _bytes(memory: str) -> int:

    try:
        return size(memory)
    except RefusedError as error:
        raise UsageError(f"--memory: {error.message}", error.hint) from None
