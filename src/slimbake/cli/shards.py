"""`slimbake bake --shards`."""

from __future__ import annotations

from dataclasses import asdict

import click

from slimbake.build.command import Options
from slimbake.build.release import Release
from slimbake.build.sharded import released
from slimbake.cli.common import console, print_json
from slimbake.config.model import Manifest
from slimbake.console import tables as report


def bake_in_shards(
    manifest: Manifest,
    services: tuple[str, ...],
    options: Options,
    names: Release,
    where: tuple[int | None, tuple[str, ...], str],
    as_json: bool,
) -> None:
    """Bake in shards and print what was pushed. `where`: how many, on which builders, on which one
    otherwise.
    """
    shards, nodes, builder = where
    turns = nodes or (builder,)
    images = released(
        manifest,
        services,
        options,
        names,
        tuple(turns[i % len(turns)] for i in range(shards or len(turns))),
        console,
    )
    if as_json:
        print_json({"images": {each.name: asdict(each) for each in images}})
        return
    rows = [(i.name, i.digest[7:19], str(i.wave), str(i.shard), i.node, i.image) for i in images]
    click.echo(report.text_table(("target", "digest", "wave", "shard", "node", "image"), rows))
