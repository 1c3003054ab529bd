"""`slimbake why`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from slimbake.catalogue import rules
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    held_images,
    image_names,
    image_options,
    json_option,
    manifest_option,
    print_json,
    print_text,
    read,
    select,
    services_argument,
)
from slimbake.errors import NothingSelected, SetupError
from slimbake.inside.ledger import LedgerEntry
from slimbake.project import Project
from slimbake.report.why import answer, changed, led_on, left_behind, why


@click.command(
    "why",
    epilog=examples("slimbake why torch.fx", "slimbake why 'torch/include/**' api"),
)
@click.argument("path", required=False)
@services_argument
@manifest_option
@image_options
@json_option
def command(
    path: str | None,
    services: tuple[str, ...],
    file: Path,
    tag: str,
    registry: str,
    as_json: bool,
) -> None:
    """Say which rule removed or changed PATH in the images; of a package, also who needs it, and
    which base or service brings it.

    PATH is a file, folder or glob of packages, a module such as torch.fx or a name in it, a package
    of the locks, or the name of a rule. Without PATH, all rules are listed.
    """

    if path is None:
        _print_rules()
        return
    project = read(file)
    explained = "" if as_json else _explained(project, path)
    if explained:
        print_text(explained)
    names = image_names(project.plan, registry, tag)
    chosen = {name: names[name] for name in select(project.plan, services)}
    try:
        _of_images(project, path, held_images(chosen, optional=not services), as_json)
    except (SetupError, NothingSelected):
        if not explained:  # what needs a package is in the locks, whether or not there is an image
            raise


def _of_images(project: Project, path: str, ids: Mapping[str, str], as_json: bool) -> None:
    """Print what rules did to a path in images. Raises NothingSelected."""
    entries: list[LedgerEntry] = []
    matches = {}
    for name, image in ids.items():
        ledger = changed(image)
        entries += ledger
        files = why(ledger, path)
        if files:
            matches[name] = files
    if as_json:
        result = {}
        for name, files in matches.items():
            result[name] = [asdict(file) for file in files]
        print_json(result)
    elif matches:
        for line in answer(path, matches):
            print_text(line)
    elif reason := left_behind(path):
        print_text(f"runtime: no image has {path} of the standard library: {reason}")
    else:
        hint = led_on(entries, path, project.plan.service_names)
        raise NothingSelected(f"nothing removed or changed {path} in these images", hint)


def _explained(project: Project, package: str) -> str:
    """Who needs a package of the locks; "" for what is none."""
    from slimbake.config.specs import normalised
    from slimbake.lock.explain import explanation
    from slimbake.lock.locks import locked_pins
    from slimbake.lock.model import locked_scopes

    pins = locked_pins(project.fleet, project.locks)
    return explanation(normalised(package), locked_scopes(project.fleet), pins)


def _print_rules() -> None:
    for rule in rules():
        line = f"{rule.name}: {rule.about}"
        if rule.conditions:
            line += f" ({', '.join(rule.conditions)})"
        print_text(f"{line}\n  {rule.why}")
