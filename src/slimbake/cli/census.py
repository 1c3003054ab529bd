"""`slimbake census`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, output_options, print_json, read, select, service_options
from slimbake.console.tables import Layout, text_table
from slimbake.errors import CheckError
from slimbake.proof.census import Tally
from slimbake.proof.counting import census

HEADINGS = ("service", "modules", "found", "files", "on disk", "cold", "changed", "removed", "lost")
SHOWN = 20


@click.command(
    "census",
    epilog=examples("slimbake census embedding", "slimbake census --imports"),
)
@service_options
@output_options
@click.option("--imports", is_flag=True, help="Also import modules in both images. Takes minutes.")
def command(
    services: tuple[str, ...],
    variant: str,
    file: Path,
    as_json: bool,
    layout: Layout,
    imports: bool,
) -> None:
    """Compare the images of these services with the same images without passes: every file, module,
    entry point, requirement and library. Exits with 6 if something is lost that no pass lists.
    """
    project = read(file)
    chosen = select(project.plan, services, variant)
    found = census(project, chosen, console, imports=imports)
    if as_json:
        print_json({name: each.as_json() for name, each in found.items()})
    else:
        click.echo(_text(found, layout))
    lost = [f"{name}: {loss}" for name, each in found.items() for loss in each.losses]
    if lost:
        more = [f"and {len(lost) - SHOWN} more"] if len(lost) > SHOWN else []
        raise CheckError("\n".join((f"{len(lost)} losses", *lost[:SHOWN], *more)))


def _text(found: Mapping[str, Tally], layout: Layout) -> str:
    rows = []
    for name, each in found.items():
        fates = (each.files.get(fate, 0) for fate in ("disk", "cold", "changed", "removed"))
        figures = (each.modules, each.found, sum(each.files.values()), *fates, len(each.losses))
        rows.append((name, *(f"{figure:,}" for figure in figures)))
    lines = [text_table(HEADINGS, rows, layout=layout)]
    for name, each in found.items():
        lines += [f"{name}: {by} took {count:,} files" for by, count in each.passes.items()]
        stale = each.stale_imports.items()
        lines += [f"{name}: {count:,} imports point at what {by} took" for by, count in stale]
        if each.imports:
            tried, differ = each.imports.tried, len(each.imports.differ)
            lines.append(f"{name}: {tried:,} modules imported, {differ:,} with another outcome")
    return "\n".join(lines)
