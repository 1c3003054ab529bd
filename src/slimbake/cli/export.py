"""`slimbake export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slimbake.cli.commands import examples
from slimbake.cli.common import (
    console,
    image_names,
    image_options,
    json_option,
    manifest_option,
    print_json,
    print_text,
    read,
    select,
    service_names,
)
from slimbake.config.report import did_you_mean
from slimbake.errors import NothingSelected, UsageError
from slimbake.host.machine import machine

if TYPE_CHECKING:
    from slimbake.deploy.digests import DeployFile
    from slimbake.project import Project


@click.command(
    "export",
    epilog=examples(
        "slimbake export digests api --tag v1",
        "slimbake export images deploy/api.yaml deploy/kustomization.yaml --tag v1",
    ),
)
@click.argument(
    "what",
    metavar="compose|digests|images",
    type=click.Choice(("compose", "digests", "images")),
)
@click.argument("names", nargs=-1, metavar="[SERVICE|FILE]...", shell_complete=service_names)
@manifest_option
@image_options
@json_option
@click.option("--stdout", is_flag=True, help="With images: print the files, and leave them alone.")
def command(
    what: str,
    names: tuple[str, ...],
    file: Path,
    tag: str,
    registry: str,
    as_json: bool,
    stdout: bool,
) -> None:
    """Write the services for what deploys them.

    compose: write the fleet for Docker Compose, and say how a compose file of your own takes it.

    digests: print the images that the registry has under a tag, by digest, as JSON.

    images: write these digests into Kubernetes manifests, kustomizations and Helm values of your
    own, and list the services whose digest changed. It replaces `image: REPOSITORY:TAG@DIGEST`, and
    `reference:` of a volume; `newTag` and `digest` of Kustomize's images; `tag` and `digest` of a
    Helm `repository`, or TAG@DIGEST as `tag` where a chart has no `digest`. If one of the files
    cannot be read or changed, none is written.
    """
    if stdout and (what != "images" or as_json):
        raise UsageError("--stdout prints the files of `export images`", "leave out one of them")
    project = read(file)
    if what == "compose":
        from slimbake.deploy.compose import joining, written

        written(project)
        click.echo("\n".join(joining(project)))
        return
    if not (registry or project.manifest.registry):
        raise UsageError(
            f"{file.name} names no registry, so nothing is released",
            "add `registry:`, or --registry",
        )
    if what == "images":
        _images(project, names, registry or project.plan.registry, tag, as_json, stdout)
    else:
        _print_digests(project, names, registry, tag)


def _print_digests(project: Project, services: tuple[str, ...], registry: str, tag: str) -> None:
    from slimbake.ci.released import deployed

    plan = project.plan
    chosen = select(plan, services)
    names = image_names(plan, registry, tag)
    references = {name: names[name] for name in plan.with_weights(chosen)}
    print_json(deployed(plan, chosen, references, _digests(references)))


def _digests(names: Mapping[str, str]) -> dict[str, str]:
    """The digests of images on a registry. Raises SetupError for one that it does not have."""
    from slimbake.release.on_registry import released_images

    images = released_images(names, str(machine().ca_bundle or ""))
    return {image.target: image.digest for image in images}


def _images(
    project: Project,
    paths: tuple[str, ...],
    registry: str,
    tag: str,
    as_json: bool,
    stdout: bool,
) -> None:
    from slimbake.deploy.digests import deploy_files, deployed_images, new_texts, unnamed, write

    if not paths:
        raise UsageError("no file is named", "`slimbake export images deploy/*.yaml`")
    plan = project.plan
    files = deploy_files(plan, project.root, map(Path, paths), registry)
    strangers = _strangers(project, files)
    named: set[str] = set()
    for file in files:
        named.update(target for _, target in file.images)
    if not named:
        raise NothingSelected(
            f"no image of these files is a service's in {registry}",
            f"they are called {registry}/SERVICE; --registry sets another registry",
        )
    names = image_names(plan, registry, tag)
    references = {target: name for target, name in names.items() if target in named}
    digests = _digests(references)
    texts = new_texts(files, references, digests)
    images = deployed_images(files, references, digests)
    missing = unnamed(plan, named)
    for name in missing:
        console.say(f"warning: no file names an image of {name}")
    if stdout:
        click.echo("---\n".join(map(_ended, texts.values())), nl=False)
        return
    written = write(files, texts)
    if as_json:
        print_json({"images": images, "files": written, "unnamed": missing, "strangers": strangers})
        return
    for name, image in images.items():
        state = "changed" if image["changed"] else "unchanged"
        print_text(f"{state}: {name} ({', '.join(image['places'])})")


def _strangers(project: Project, files: tuple[DeployFile, ...]) -> dict[str, str]:
    """Images in the fleet's registry that are no service's, by their places. Each is said."""
    services = project.plan.service_names
    images = {}
    for file in files:
        for image in file.strangers:
            images[file.place(image)] = image.text
            console.say(f"warning: {file.place(image)}: {image.text} is no image of a service")
            if near := did_you_mean(image.repository.rpartition("/")[2], services):
                console.say(f"  {near}")
    return images


def _ended(text: str) -> str:
    """A text that ends with a line break."""
    if text.endswith("\n"):
        return text
    return f"{text}\n"
