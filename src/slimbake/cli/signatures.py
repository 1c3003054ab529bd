"""`slimbake signatures`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FOLDER,
    image_names,
    image_options,
    json_option,
    print_json,
    read,
    select_any,
    service_options,
)
from slimbake.deploy.signatures import Signer, signatures_json, signer, subjects, verifying
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically
from slimbake.host.git import origin
from slimbake.project import Project


@click.command(
    "signatures",
    epilog=examples("slimbake signatures --tag v1", "slimbake signatures api --json"),
)
@service_options
@image_options
@json_option
@click.option(
    "--sboms",
    type=FOLDER,
    help="Write the SBOMs that are attached to the images into this folder.",
)
@click.option(
    "--source",
    default="",
    metavar="URL",
    help="The repository whose pipeline signs.  [default: in CI, this one; else Git's origin]",
)
@click.option(
    "--branch", default="main", show_default=True, help="The branch whose pipeline signs."
)
def command(
    services: tuple[str, ...],
    file: Path,
    variant: str,
    tag: str,
    registry: str,
    as_json: bool,
    sboms: Path | None,
    source: str,
    branch: str,
) -> None:
    """Print the commands that verify, by digest, what the pipeline signed of the images under a
    tag.
    """
    from slimbake.build.on_registry import attached_sboms, released_images
    from slimbake.host.machine import machine

    project = read(file)
    plan, sign = project.plan, project.plan.pipeline.sign
    if sign == "none":
        raise UsageError(
            f"{file.name} has no `ci: {{sign: ...}}`, so nothing is signed",
            "add `ci: {sign: cosign}`, or `sign: github` for GitHub's attestations",
        )
    by = _signer(project, source, branch)
    chosen = plan.with_weights(select_any(plan, services, variant))
    names = image_names(plan, registry, tag)
    ca_bundle = str(machine().ca_bundle or "")
    images = released_images({name: names[name] for name in chosen}, ca_bundle)
    attached = attached_sboms(images, ca_bundle)
    found = subjects(images, attached)
    for each in found if sboms else ():
        if each.sbom and sboms:
            text = attached[each.service][each.platform]
            write_atomically(sboms / each.sbom, text.encode())
    if as_json:
        print_json(signatures_json(sign, found, by))
        return
    for each in found:
        click.echo(f"# {' '.join(filter(None, (each.service, each.platform)))}")
        for words in verifying(sign, each, by):
            click.echo(shlex.join(words))


def _signer(project: Project, source: str, branch: str) -> Signer:
    """Who signs. Raises UsageError where nobody says of which repository."""
    provider = project.plan.pipeline.provider
    reported = source or _in_ci() or origin(project.root)
    try:
        return signer("gitlab" if provider == "gitlab" else "github", reported, branch)
    except ValueError:
        said = (
            f"'{reported}' is no repository's address" if reported else "Git knows no origin here"
        )
        raise UsageError(said, "--source https://HOST/OWNER/NAME") from None


def _in_ci() -> str:
    """The repository of the job that runs this; "" elsewhere."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else os.environ.get("CI_PROJECT_URL", "")
