"""`slimbake passes`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option, output_options, print_json, read
from slimbake.console.tables import Layout


@click.command(
    "passes",
    epilog=examples("slimbake passes", "slimbake passes --json"),
)
@manifest_option
@output_options
def command(file: Path, as_json: bool, layout: Layout) -> None:
    """List the size optimisations that slimbake knows, yours among them, and the layers that they
    apply to.
    """
    from slimbake.catalogue import show
    from slimbake.console import tables as report
    from slimbake.evidence.selection import verdict, why_not
    from slimbake.lock.model import families

    project = read(file)
    every = (layer for family in families(project.fleet) for layer in family.layers)
    layers = [layer.name for layer in every if layer.kind not in ("weights", "wheel")]
    pins = {name: found for name in layers if (found := project.locks.pins(name))}
    if not pins:
        console.say("no package is locked yet, so no pass has a layer: run `slimbake lock`")
    known = project.evidence.catalogue
    verdicts, states = {}, {}
    for answers in project.evidence.layers:
        for each in known:
            at = answers[0].question.layer, each.name
            states[at] = why_not(answers, each) or "carried"
            if word := verdict(answers, each):
                verdicts[at] = word
    packages = {layer: tuple((p.name, p.version) for p in each) for layer, each in pins.items()}
    passes = show.listed(known, packages, verdicts, states)
    if as_json:
        print_json(show.passes_json(passes))
        return
    click.echo(report.text_table(show.HEADINGS, show.pass_rows(passes), len(show.HEADINGS), layout))
