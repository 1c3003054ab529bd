"""`slimbake search`."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    json_option,
    manifest_option,
    print_json,
    read,
    select,
    service_names,
)
from slimbake.console.progress import ProgressView
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically
from slimbake.lock.locks import locked_pins
from slimbake.project import Project
from slimbake.proof.oracle import Oracle, Start
from slimbake.proof.propose import SearchedLayer, catalogue_text, catalogue_with, entry
from slimbake.proof.search import Found, Options, SearchStep, search
from slimbake.proof.smallest import keep as keep_smallest
from slimbake.proof.subjects import subjects
from slimbake.proof.trials import Kept

OWN = "passes.yaml"


@click.command(
    "search",
    epilog=examples("slimbake search api", "slimbake search embedding --layer base-ml --write"),
)
@click.argument(
    "services", nargs=-1, required=True, metavar="SERVICE...", shell_complete=service_names
)
@manifest_option
@json_option
@click.option(
    "--write",
    is_flag=True,
    help=f"Write the proposed passes into {OWN}, beside the manifest, instead of printing them.",
)
@click.option(
    "--layer",
    "only",
    multiple=True,
    metavar="NAME",
    help="Search this layer, such as base-ml or embedding.  [default: all]",
)
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME",
    help="Search this package; one of your repository is searched only if named.  [default: all]",
)
@click.option("--keep", multiple=True, metavar="GLOB", help="Never remove files that match GLOB.")
@click.option(
    "--by",
    type=click.Choice(["file", "directory"]),
    default="file",
    show_default=True,
    help="Smallest unit to remove.",
)
@click.option(
    "--small",
    type=click.IntRange(0),
    default=8000,
    show_default=True,
    metavar="BYTES",
    help="Keep modules with less source in folders of which most is used.",
)
@click.option(
    "--least",
    type=click.IntRange(1),
    default=500_000,
    show_default=True,
    metavar="BYTES",
    help="Do not try folders and files that are opened and smaller than this on their own.",
)
@click.option(
    "--time",
    "minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="Stop after so long, and propose what passed so far.  [default: no limit]",
)
@click.option("--install-engine", is_flag=True, help="Install a Docker engine if there is none.")
def command(
    services: tuple[str, ...],
    file: Path,
    as_json: bool,
    write: bool,
    only: tuple[str, ...],
    packages: tuple[str, ...],
    keep: tuple[str, ...],
    by: str,
    small: int,
    least: int,
    minutes: float | None,
    install_engine: bool,
) -> None:
    """Find what else can go from the layers of these services: what no smoke of theirs misses.

    If it is interrupted, the same command goes on from there.
    """

    project = read(file)
    plan = project.plan
    chosen = select(plan, services)
    layers = _layers(project, chosen, only, packages)
    root = project.root
    recipes = {name: plan.target(name).recipe for name in chosen}
    starts = {
        name: Start((*r.entrypoint, *r.command), r.port) if r else Start((), None)
        for name, r in recipes.items()
    }
    seconds = math.inf if minutes is None else minutes * 60
    options = Options(
        by=by, small=small, least=least, packages=packages, keep=keep, seconds=seconds
    )
    with subjects(project, chosen, console, install_engine) as found:
        oracle = Oracle(found, Kept(project.workspace, "search"))
        with _shown(oracle) as tell:
            result = search(oracle, layers, starts, options, tell, console.say)
    if len(chosen) == 1 and result.whole:
        keep_smallest(project, chosen[0], result.after)
    if write:
        own = root / OWN
        before = own.read_text("utf-8") if own.is_file() else ""
        with _as_usage_error(own.name):
            after = catalogue_with(before, result.proposals)
        if after != before:
            write_atomically(own, after.encode())
    elif as_json:
        print_json(_json(result))
    elif result.proposals:
        click.echo(catalogue_text(result.proposals), nl=False)
    _summarise(result, oracle)


def _layers(
    project: Project,
    chosen: tuple[str, ...],
    only: tuple[str, ...],
    packages: tuple[str, ...],
) -> tuple[SearchedLayer, ...]:
    """The layers of packages that these services stand on; others that stand there too are named."""

    plan, pins = project.plan, locked_pins(project.fleet, project.locks)
    stands = {
        service.service: [t.name for t in plan.held((service.service,))]
        for service in plan.services
    }
    under = [
        t.name
        for t in plan.held(chosen)
        if t.kind in ("base", "service") and t.recipe and t.recipe.install
    ]
    if unknown := [name for name in only if name not in under]:
        raise UsageError(
            f"{', '.join(unknown)}: no layer of {', '.join(chosen)}",
            f"they are: {', '.join(under)}",
        )
    layers = []
    for name in (each for each in under if not only or each in only):
        layers.append(SearchedLayer(name, tuple(pin.name for pin in pins.get(name, ()))))
        if others := [
            service for service, below in stands.items() if name in below and service not in chosen
        ]:
            console.say(
                f"{name} carries {', '.join(others)} too: search with them, or what is proposed for"
                " it may be refuted"
            )
    known = {package for layer in layers for package in layer.packages}
    if missing := [name for name in packages if name not in known]:
        raise UsageError(f"no layer of {', '.join(chosen)} has {', '.join(missing)}")
    return tuple(layers)


@contextlib.contextmanager
def _shown(oracle: Oracle) -> Iterator[Callable[[SearchStep], None]]:
    """Progress: a line that changes on a terminal, a line at times elsewhere."""
    started = time.monotonic()

    def view(step: SearchStep) -> ProgressView:
        tally, seconds = oracle.tally, time.monotonic() - started
        asked = tally.questions
        return ProgressView(
            step.doing,
            seconds,
            left=seconds / asked * step.at_most if step.at_most and tally.trials else None,
            tally=f"{step.gone / 1e6:.1f} MB can go, {asked} of at most"
            f" {asked + step.at_most} trials",
            part=asked / max(asked + step.at_most, 1),
        )

    with console.status() as shown:
        yield lambda step: shown(view(step))


@contextlib.contextmanager
def _as_usage_error(name: str) -> Iterator[None]:

    try:
        yield
    except ValueError as error:
        raise UsageError(
            f"{name}: {error}", "without --write it is printed, to be put there by hand"
        ) from None


def _json(found: Found) -> dict[str, object]:

    passes = {
        each.proposed.name: {**entry(each), "bytes": each.bytes, "files": each.files}
        for each in found.proposals
    }
    return {
        "services": found.services,
        "bytes": {
            "before": found.before,
            "after": found.after,
            "used": found.used,
            "guarded": found.guarded,
        },
        "passes": passes,
        "whole": found.whole,
    }


def _summarise(found: Found, oracle: Oracle) -> None:
    for each in found.proposals:
        what = each.proposed
        lines = len(what.remove) + len(what.keep) + len(what.uncompiled) + len(what.drop)
        console.say(f"{what.name}: {each.bytes / 1e6:.1f} MB in {each.files} files, {lines} lines")
    if not found.whole:
        console.say("time is up: what was not asked stays; the same command goes on from here")
    elif not found.proposals:
        console.say("nothing else can go")
    least = found.used + found.guarded
    console.say(
        f"packages of {', '.join(found.services)} together: {found.before / 1e6:.1f} MB, then"
        f" {found.after / 1e6:.1f}: {found.after / least:.2f} times what is used, licences and"
        f" metadata ({least / 1e6:.1f})"
    )
    console.say(f"{oracle.tally.trials} trials, {oracle.tally.known} answers from before")
