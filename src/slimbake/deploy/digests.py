"""The digests of a release in YAML files of the user's: manifests, kustomizations, values of Helm."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake.config.files import ManifestFolder, decoded, os_reason
from slimbake.config.report import RefusedError
from slimbake.deploy.references import NamedImage, named_images, with_digests
from slimbake.errors import Problem, UsageError
from slimbake.host.files import content, write_all
from slimbake.plan.model import Plan, Target
from slimbake.registry.address import endpoint

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFile:
    """A file of the user's, and what it deploys."""

    path: Path
    name: str  # relative to the repository
    text: str
    mark: bytes  # its byte order mark, or b""
    images: tuple[tuple[NamedImage, str], ...]  # each with its target
    strangers: tuple[NamedImage, ...]  # in the fleet's registry, and of no service

    def place(self, image: NamedImage) -> str:
        """FILE:LINE:COLUMN."""
        return f"{self.name}:{image.place.line}:{image.place.column}"


def deploy_files(
    plan: Plan, root: Path, paths: Iterable[Path], registry: str
) -> tuple[DeployFile, ...]:
    """What these files deploy of a fleet, whose images are in `registry`. Raises UsageError with
    every fault, each with its place.
    """
    folder = ManifestFolder(str(root))
    files: dict[str, DeployFile] = {}
    faults = []
    for path in paths:
        name = os.path.relpath(path.parent.resolve() / path.name, root.resolve())
        try:
            name = folder.file(name)
            if name not in files:
                files[name] = _read(plan, root, name, registry)
        except RefusedError as error:
            faults.append(_fault(name, error))
    if faults:
        raise UsageError("\n".join(faults))
    return tuple(files.values())


def _fault(name: str, error: RefusedError) -> str:
    line, column = error.place or (0, 0)  # 0: the file as a whole
    return str(Problem(name, line, column, "", error.message, error.hint))


def _read(plan: Plan, root: Path, name: str, registry: str) -> DeployFile:
    try:
        data = content(root, name)
    except OSError as error:
        raise RefusedError(f"cannot be read: {os_reason(error)}") from None
    text = decoded(data)
    # Names are compared as addresses: `docker.io/one/api` is `one/api`.
    targets: dict[str, list[Target]] = {}
    for target_name in plan.with_weights(plan.service_names):
        target = plan.target(target_name)
        targets.setdefault(endpoint(f"{registry}/{target.repository}").url, []).append(target)
    beginning = endpoint(f"{registry}/-").url.removesuffix("-")
    images = []
    strangers = []
    for image in named_images(text):
        address = endpoint(image.repository).url
        if address in targets:
            images.append((image, _target(image, targets[address])))
        elif address.startswith(beginning):
            strangers.append(image)
    return DeployFile(
        path=(root / name).resolve(),
        name=name,
        text=text,
        mark=_BOM if data.startswith(_BOM) else b"",
        images=tuple(images),
        strangers=tuple(strangers),
    )


def _target(image: NamedImage, targets: Sequence[Target]) -> str:
    """Which variant an image is: the end of its tag says so. Raises RefusedError where only a
    digest is there, as variants of a service share their repository.
    """
    if len(targets) > 1 and image.digest and not image.tag:
        tags = ", ".join(f"latest{target.suffix}" for target in targets)
        names = ", ".join(target.name for target in targets)
        message = f"{image.text} may be any of {names}"
        raise RefusedError(message, f"name one by a tag: {tags}", image.place)
    # The first variant has no suffix, with which every tag ends.
    named = [target for target in targets if image.tag.endswith(target.suffix)]
    return max(named, key=lambda target: len(target.suffix)).name


def new_texts(
    files: Sequence[DeployFile], names: Mapping[str, str], digests: Mapping[str, str]
) -> dict[str, str]:
    """Each file's text with the digests of a release. `names`: target -> REPOSITORY:TAG. Raises
    UsageError with every value that cannot be replaced, each with its place.
    """
    texts = {}
    faults = []
    for file in files:
        changes = []
        for image, target in file.images:
            changes.append((image, names[target].rpartition(":")[2], digests[target]))
        try:
            texts[file.name] = with_digests(file.text, changes)
        except RefusedError as error:
            faults.append(_fault(file.name, error))
    if faults:
        raise UsageError("\n".join(faults))
    return texts


def write(files: Sequence[DeployFile], texts: Mapping[str, str]) -> tuple[str, ...]:
    """Write the files whose text is another now, all or none; their names."""
    changed = [file for file in files if texts[file.name] != file.text]
    write_all({file.path: file.mark + texts[file.name].encode() for file in changed}, mode=None)
    return tuple(file.name for file in changed)


def deployed_images(
    files: Sequence[DeployFile], names: Mapping[str, str], digests: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Each image that the files name: by digest, where, and whether any of these places had
    another digest or none.
    """
    images: dict[str, dict[str, Any]] = {}
    for target, name in names.items():
        repository = name.rpartition(":")[0]
        by_digest = f"{repository}@{digests[target]}"
        images[target] = {"image": by_digest, "changed": False, "places": []}
    for file in files:
        for image, target in file.images:
            images[target]["places"].append(file.place(image))
            if image.digest != digests[target]:
                images[target]["changed"] = True
    return images


def unnamed(plan: Plan, names: Iterable[str]) -> tuple[str, ...]:
    """The services of which no variant is among these targets."""
    repositories = {plan.target(name).repository for name in names}
    services = plan.group("default")
    return tuple(name for name in services if plan.target(name).repository not in repositories)
