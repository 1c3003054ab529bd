"""`slimbake library`."""

from __future__ import annotations

from pathlib import Path

import click

from slimbake.adopt.library import LIBRARY, write_library
from slimbake.cli.commands import examples
from slimbake.cli.common import console, manifest_option


@click.command("library", epilog=examples("slimbake library", "slimbake library packages/models"))
@click.argument("folder", default=f"libs/{LIBRARY}")
@manifest_option
def command(folder: str, file: Path) -> None:
    """Write the library that runs models into FOLDER, by default libs/slimbake-models.

    It runs embeddings, rerankers, classifiers and generators, with torch or as exported to ONNX.
    After an update of slimbake, the same command updates it. Its files overwrite yours.
    """

    written = write_library(file.resolve().parent, folder)
    for path in written:
        console.say(f"wrote {path}")
    click.echo(f"{folder}: {len(written)} files written")
    click.echo(f"next: require this folder in a service, by its path: ../../{folder}")
