"""Layers of packages on a registry, each under its key: what has been built anywhere is not built
again.

There a layer is an image of its own, for one platform, whose label says the key. A push of an image
puts its layers there, for which a registry moves no bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slimbake.console.tables import counted
from slimbake.host.typed import WRONG, json_value
from slimbake.plan.graph import layers, relinked
from slimbake.plan.model import Target
from slimbake.registry import ImageRepository
from slimbake.registry.documents import Descriptor, StoredManifest, platform_manifests
from slimbake.registry.errors import RegistryError
from slimbake.release.on_registry import SECONDS, ask_each, say_doubts
from slimbake.release.place import BakeRequest
from slimbake.release.site import Site, built_for
from slimbake.render.generated import own_templates

REPOSITORY = "slimbake-layers"
LABEL = "slimbake.layer"
_COPYING = 600.0
"""Seconds for publishing: to another registry, layers are copied."""


def found_layers(site: Site, targets: Iterable[str], request: BakeRequest) -> dict[str, str]:
    """The layers that these targets and their checks need and a registry has: target ->
    REPOSITORY@DIGEST. None where several platforms are built at once. Doubts are said.
    """
    plan = relinked(site.plan, site.around.pushed)
    needed = plan.needed(plan.with_checks(tuple(targets)))
    keys = _keys(needed)
    images = [target for target in needed if target.kind in ("base", "service")]
    platforms = built_for(plan, images, request.platform)
    manifest = site.project.manifest
    # Where nobody names a registry, images are called as a stranger's on Docker Hub may be.
    has_registry = manifest.registry or manifest.layers.registry or request.push
    # Templates of one's own may put anything into a layer.
    if not has_registry or len(platforms) != 1 or own_templates(site.root):
        return {}
    (platform,) = platforms
    layers_repository = _repository(site, request)

    def read(target: str, repository: ImageRepository) -> str:
        return _digest_under(repository, keys[target], platform)

    repositories = dict.fromkeys(keys, layers_repository)
    answers = ask_each(repositories, read, site.around.ca_bundle, SECONDS)
    say_doubts(answers, site.console)
    found = {}
    for target, digest in answers.items():
        if isinstance(digest, str) and digest:
            found[target] = f"{layers_repository}@{digest}"
    if found:
        site.console.say(f"on the registry: {counted(len(found), 'layer')} of packages")
    return found


def _keys(targets: Iterable[Target]) -> dict[str, str]:
    """The key of each layer of packages, by its target."""
    keys = {}
    for target in targets:
        if target.recipe and target.recipe.layer:
            keys[target.name] = target.recipe.layer.key
    return keys


def _repository(site: Site, request: BakeRequest) -> str:
    return f"{site.project.manifest.layers.registry or request.registry}/{REPOSITORY}"


def layer_tag(key: str, platform: str) -> str:
    """The tag of a layer for a platform."""
    return f"{key.partition(':')[2]}-{platform.replace('/', '_')}"


def _digest_under(repository: ImageRepository, key: str, platform: str) -> str:
    """The digest of the image of a layer; "" where there is none. Raises RegistryError."""
    document = repository.document(layer_tag(key, platform))
    if document is None:
        return ""
    labels = (_config(repository, document).get("config") or {}).get("Labels") or {}
    if labels.get(LABEL) != key:
        raise RegistryError("another key", why="has a layer that does not say its key")
    return document.descriptor.digest


def _config(repository: ImageRepository, manifest: StoredManifest) -> dict[str, Any]:
    """The configuration of an image. Raises RegistryError."""
    try:
        return dict(json_value(repository.blob(str(repository.read(manifest)["config"]["digest"]))))
    except WRONG:
        why = "answers what cannot be read"
        raise RegistryError(f"{manifest.descriptor.digest} is no image", why=why) from None


@dataclass(frozen=True, slots=True)
class _Piece:
    """One layer of an image that was pushed, for one platform."""

    name: str  # the target that makes it
    platform: str
    blob: Descriptor
    content: str  # the digest of it as a tar
    image: str  # the repository that holds it


def publish_layers(
    site: Site, images: Mapping[str, tuple[str, StoredManifest]], request: BakeRequest
) -> None:
    """Put the layers of packages of images that were pushed under their keys, where they are not yet.

    `images`: target -> repository, and what it holds. What goes wrong is said: the images are pushed.
    """
    if own_templates(site.root) or request.sets:  # these may put anything into a layer
        return
    keys = _keys(site.plan.targets)
    if not keys:
        return
    ca_bundle = site.around.ca_bundle
    pieces: dict[str, _Piece] = {}  # by tag

    def read(name: str, repository: ImageRepository) -> None:
        for piece in _pieces(site, name, images[name], repository):
            if piece.name in new:
                pieces[layer_tag(keys[piece.name], piece.platform)] = piece

    def put(tag: str, repository: ImageRepository) -> None:
        piece = pieces[tag]
        if repository.document(tag) is None:
            repository.take(piece.blob, ImageRepository(piece.image, ca_bundle))
            repository.put_image(_configuration(keys[piece.name], piece), piece.blob, tag)

    new = keys.keys() - site.around.pushed.keys()
    repositories = {}
    for name, (repository_name, _) in images.items():
        if not new.isdisjoint(layers(site.plan, name)):
            repositories[name] = repository_name
    answers: dict[str, object] = dict(ask_each(repositories, read, ca_bundle, SECONDS))
    layers_repository = _repository(site, request)
    answers |= ask_each(dict.fromkeys(pieces, layers_repository), put, ca_bundle, _COPYING)
    errors = {answer.message for answer in answers.values() if isinstance(answer, RegistryError)}
    for message in sorted(errors):
        site.console.say(f"warning: layers are not at {layers_repository} for others: {message}")


def _pieces(
    site: Site, name: str, image: tuple[str, StoredManifest], repository: ImageRepository
) -> Iterator[_Piece]:
    """The layers of an image; none where it is not known what makes them."""
    repository_name, document = image
    for described in platform_manifests(document).values():
        manifest = repository.document(described.digest)
        if manifest is None:
            continue
        config = _config(repository, manifest)
        try:
            entries = repository.read(manifest)["layers"]
            blobs = [Descriptor(e["mediaType"], e["digest"], e["size"]) for e in entries]
            contents = config["rootfs"]["diff_ids"]
            parts = config["os"], config["architecture"], config.get("variant", "")
        except WRONG:
            why = "answers what cannot be read"
            raise RegistryError(f"{name} has no layers", why=why) from None
        platform = "/".join(filter(None, parts))
        names = layers(site.plan, name, len(blobs))
        if len(blobs) == len(contents) == len(names):
            for target, blob, content in zip(names, blobs, contents, strict=True):
                yield _Piece(target, platform, blob, content, repository_name)


def _configuration(key: str, piece: _Piece) -> bytes:
    """The configuration of the image of a layer: the same bytes wherever it is made."""
    os, architecture, *variant = piece.platform.split("/")
    content: dict[str, Any] = {
        "os": os,
        "architecture": architecture,
        "config": {"Labels": {LABEL: key}},
        "rootfs": {"type": "layers", "diff_ids": [piece.content]},
    }
    if variant:
        content["variant"] = variant[0]
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
