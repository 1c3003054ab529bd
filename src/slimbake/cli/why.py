"""`slimbake why`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
from slimbake.console.tables import readable
from slimbake.errors import NothingSelected, UsageError
from slimbake.inside.build.runtime import left_behind
from slimbake.inside.ledger import LedgerEntry
from slimbake.warm.why import MOVED, Why, changed, is_there, led_on, of_debian, of_own_code, why

SHOWN = 20  # files of one rule, before they are counted
FEW = 5  # of one of several rules


@click.command(
    "why",
    epilog=examples("slimbake why torch.fx", "slimbake why 'torch/include/**' embedding"),
)
@click.argument("path", required=False)
@services_argument
@manifest_option
@image_options
@click.option("--rules", "as_rules", is_flag=True, help="List what slimbake does to every layer.")
@click.option("--all", "whole", is_flag=True, help="List every file.")
@json_option
def command(
    path: str | None,
    services: tuple[str, ...],
    file: Path,
    tag: str,
    registry: str,
    as_rules: bool,
    whole: bool,
    as_json: bool,
) -> None:
    """Say which rule removed, moved or changed PATH in the images.

    PATH is a file, folder or glob of packages, a module such as torch.fx or a name in it, or the
    name of a rule.
    """

    if as_rules:
        _print_rules(as_json)
        return
    if path is None:
        raise UsageError("no PATH", "slimbake why torch.fx, or slimbake why --rules")
    project = read(file)
    plan = project.plan
    named = image_names(plan, registry, tag)
    known = {each.service for each in plan.services}
    if path in known and (other := next((each for each in services if each not in known), "")):
        raise UsageError(
            f"'{path}' is a service, and a path comes first", f"`slimbake why {other} {path}`"
        )
    chosen = {name: named[name] for name in select(plan, services)}
    ids = held_images(chosen, every=not services)
    every = {name: changed(image) for name, image in ids.items()}
    found = {name: files for name, each in every.items() if (files := why(each, path))}
    if as_json:
        print_json(
            {
                n: [{"layer": w.layer, **w.entry.as_json()} for w in files]
                for n, files in found.items()
            }
        )
        return
    if not found and (reason := left_behind(path)):
        print_text(f"runtime: no image has {path} of the standard library: {reason}")
        return
    if not found:
        python = project.fleet.python
        built = [each for each in project.fleet.services if each.has_code and not each.dockerfile]
        contexts = {each.name: each.context for each in built}
        asked = {name: at for name, at in contexts.items() if not services or name in services}
        has = (
            f"{name} has it on disk, as its package installed it"
            for name, image in ids.items()
            if is_there(image, path, python)
        )
        there = (
            of_own_code(project.root, asked, path)
            or of_debian(project.fleet, project.locks, ids.keys(), path)
            or next(has, "")
        )
        raise NothingSelected(
            f"nothing removed, moved or changed {path} in these images",
            led_on([one for each in every.values() for one in each], path, known, there),
        )
    _print_found(path, found, whole)


def _print_found(path: str, found: Mapping[str, tuple[Why, ...]], whole: bool) -> None:
    """The files that were found in each image, by rule and layer."""
    known_rules = {each.name: each for each in rules()}
    by_rule: dict[tuple[str, str], list[str]] = {}
    entries: dict[tuple[str, str], dict[str, LedgerEntry]] = {}
    for name, files in found.items():
        for each in files:
            by_rule.setdefault((each.entry.by, each.layer), []).append(name)
            entries.setdefault((each.entry.by, each.layer), {})[each.entry.path] = each.entry
    if len(entries) > 1:
        print_text(f"{path}: {short_answer(entries)}")
    most = sys.maxsize if whole else FEW if len(entries) > 1 else SHOWN
    for (by, layer), names in by_rule.items():
        rule = known_rules.get(by)
        words = f"{by} ({MOVED[by]})" if by in MOVED else by
        print_text(f"{words}, on {layer}, in {', '.join(dict.fromkeys(names))}")
        if rule:
            print_text(f"  {rule.about}: {rule.why.rstrip('.')}")
        removed = list(entries[by, layer].values())
        for entry in removed[:most]:
            now = (
                f"{readable(entry.before)} -> {readable(entry.after)}"
                if entry.after not in (0, entry.before)
                else readable(entry.before)
            )
            print_text(f"  {entry.path}  {now}  {entry.package} {entry.version}")
        if len(removed) > most:
            click.echo(
                f"  and {len(removed) - most:,} more files (`--all` lists them),"
                f" {readable(sum(e.before - (by not in MOVED) * e.after for e in removed))} in all"
            )


def short_answer(entries: Mapping[tuple[str, str], Mapping[str, LedgerEntry]]) -> str:
    """How many files each rule took, moved or changed; `entries`: rule and layer -> path -> file."""
    by_rule: dict[str, set[str]] = {}
    for (by, _), files in entries.items():
        by_rule.setdefault(by, set()).update(files)
    counts = sorted(by_rule.items(), key=lambda one: (-len(one[1]), one[0]))
    every = set[str]().union(*by_rule.values())
    named = ", ".join(f"{len(files):,} {by}" for by, files in counts)
    return f"{len(every):,} files: {named}"


def _print_rules(as_json: bool) -> None:
    if as_json:
        print_json([each.as_json() | {"about": each.about, "why": each.why} for each in rules()])
        return
    for each in rules():
        only = f" ({', '.join(each.conditions)})" if each.conditions else ""
        print_text(f"{each.name}: {each.about}{only}\n  {each.why}")
