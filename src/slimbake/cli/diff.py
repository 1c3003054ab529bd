"""`slimbake diff`."""

from __future__ import annotations

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import json_option, platform_option, print_json
from slimbake.errors import DIFFERENT
from slimbake.images.diff import diff, diff_text


@click.command(
    "diff",
    epilog=examples(
        "slimbake diff atlas/api:v1 atlas/api:v2",
        "slimbake diff registry://registry.example.com/atlas/api:v1 ./api.tar",
    ),
)
@click.argument("a")
@click.argument("b")
@json_option
@platform_option
def command(a: str, b: str, as_json: bool, platform: str) -> int:
    """Compare two images: the first file of each layer that differs, and how; then their
    configurations.

    A and B are registry://HOST/NAME:TAG, an OCI layout (a folder or a file as a path, or
    oci-layout://PATH[:TAG]), or the name or id of an image of the engine. Ends with 0 where both
    are the same image, and with 8 where they differ.
    """

    found = diff(a, b, platform)
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(diff_text(found))
    return 0 if found.equal else DIFFERENT
