"""`slimbake passes`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.cli.common import json_option, manifest_option, print_json


@click.command("passes")
@manifest_option
@json_option
def command(file: Path, as_json: bool) -> None:
    """List the size optimisations that slimbake knows, yours among them, and the layers that they
    apply to.
    """
    from slimbake.catalogue import show
    from slimbake.catalogue.read import catalogue
    from slimbake.config import manifest
    from slimbake.config.names import PREFIXES
    from slimbake.console import tables as report
    from slimbake.evidence import committed, questions
    from slimbake.evidence.model import stale
    from slimbake.lock import lock_texts, locked, settled

    checked = manifest(file)
    # no layers of installed packages
    others = tuple(prefix for prefix, kind in PREFIXES.items() if kind != "bases")
    pins = {
        layer: tuple((pin.name, pin.version) for pin in found)
        for layer, found in locked(checked).items()
        if found and not layer.startswith(others)
    }
    root = checked.file.parent
    known = catalogue(root)
    found = {}
    for question, _ in questions(settled(checked), lock_texts(checked)):
        if evidence := committed(root, question.layer):
            for each in known:
                if finding := evidence.passes.get(each.name):
                    old = " (stale)" if stale(question, evidence, each) else ""
                    found[question.layer, each.name] = f"{finding.verdict}{old}"
    passes = show.listed(known, pins, found)
    if as_json:
        print_json(show.as_json(passes))
        return
    click.echo(report.text_table(show.HEADINGS, show.rows(passes), left=len(show.HEADINGS)))
