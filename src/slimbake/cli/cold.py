"""`slimbake cold`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import FOLDER, json_option, platform_option, print_json, print_text


@click.group(
    "cold",
    epilog=examples(
        "slimbake cold list registry.example.com/atlas/api:latest",
        "slimbake cold extract registry.example.com/atlas/api:latest cold/",
    ),
)
def command() -> None:
    """Show the Python code that lies compressed in an image's cold stores.

    IMAGE is registry://HOST/NAME:TAG, an OCI layout, or the name or id of an image of the engine.
    """


@command.command(
    "list",
    short_help="list the cold modules of an image",
    epilog=examples(
        "slimbake cold list registry.example.com/atlas/api:latest",
        "slimbake cold list ./api.tar --json",
    ),
)
@click.argument("image")
@json_option
@platform_option
def list_command(image: str, as_json: bool, platform: str) -> None:
    """List the cold modules of IMAGE: layer, size, SHA-256 (whole with --json), path below
    site-packages.
    """
    from slimbake.images.cold import cold_modules, cold_stores

    rows = [
        (layer, len(content), hashlib.sha256(content).hexdigest(), path)
        for layer, store in cold_stores(image, platform).items()
        for path, content in cold_modules(store)
    ]
    if as_json:
        print_json(
            [dict(zip(("layer", "size", "sha256", "path"), row, strict=True)) for row in rows]
        )
        return
    lines = (f"{layer}  {size:>9,}  {digest[:12]}  {path}" for layer, size, digest, path in rows)
    print_text("\n".join(lines))
    click.echo(f"{len(rows):,} cold modules", err=True)


@command.command(
    "extract",
    short_help="write them into a folder",
    epilog=examples(
        "slimbake cold extract registry.example.com/atlas/api:latest cold/",
        "slimbake cold extract ./api.tar cold/",
    ),
)
@click.argument("image")
@click.argument("folder", type=FOLDER)
@platform_option
def extract_command(image: str, folder: Path, platform: str) -> None:
    """Write the cold modules of IMAGE into FOLDER, as they stood below site-packages."""
    from slimbake.images.cold import cold_stores, extract_cold

    number = sum(extract_cold(store, folder) for store in cold_stores(image, platform).values())
    click.echo(f"{number:,} modules in {folder}", err=True)
