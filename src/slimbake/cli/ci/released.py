"""`slimbake ci released`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from slimbake.ci.released import Signer, released_json, signer, subjects
from slimbake.cli.commands import examples
from slimbake.cli.common import (
    FOLDER,
    image_names,
    manifest_option,
    print_json,
    read,
)
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically
from slimbake.host.git import origin
from slimbake.project import Project


@click.command(
    "released",
    epilog=examples("slimbake ci released", "slimbake ci released --sboms sboms"),
)
@manifest_option
@click.option(
    "--sboms",
    type=FOLDER,
    help="Write the SBOMs that are attached to the images into this folder.",
)
def command(file: Path, sboms: Path | None) -> None:
    """List the images that the registry has under $TAG, by digest, for the job that signs them."""
    from slimbake.host.machine import machine
    from slimbake.release.on_registry import attached_sboms, released_images

    project = read(file)
    plan, sign = project.plan, project.plan.pipeline.sign
    if sign == "none":
        raise UsageError(
            f"{file.name} has no `ci: {{sign: ...}}`, so nothing is signed",
            "add `ci: {sign: cosign}`, or `sign: github` for GitHub's attestations",
        )
    by = _signer(project)
    names = image_names(plan, os.environ.get("REGISTRY", ""), os.environ.get("TAG", "latest"))
    ca_bundle = str(machine().ca_bundle or "")
    images = released_images(names, ca_bundle)
    attached = attached_sboms(images, ca_bundle)
    found = subjects(images, attached)
    for each in found if sboms else ():
        if each.sbom and sboms:
            text = attached[each.service][each.platform]
            write_atomically(sboms / each.sbom, text.encode())
    print_json(released_json(sign, found, by))


def _signer(project: Project) -> Signer:
    """Who signs. Raises UsageError where nobody says of which repository."""
    provider = project.plan.pipeline.provider
    source = _in_ci() or origin(project.root)
    branch = os.environ.get("CI_DEFAULT_BRANCH", "main")  # GitHub's workflow names it
    try:
        return signer("gitlab" if provider == "gitlab" else "github", source, branch)
    except ValueError:
        said = f"'{source}' is no repository's address" if source else "Git knows no origin here"
        raise UsageError(said, "set Git's remote `origin`") from None


def _in_ci() -> str:
    """The repository of the job that runs this; "" elsewhere."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else os.environ.get("CI_PROJECT_URL", "")
