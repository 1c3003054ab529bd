"""Measures images in all detail, wherever they lie: what is in their layers, and what that comes
to.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from slimbake.host.typed import typed
from slimbake.host.workspace import Workspace
from slimbake.images import Source, streams
from slimbake.images.contents import LEVEL, bound, compressed, layer_contents
from slimbake.images.detail import Bound, Contents, Survey
from slimbake.images.layout import Blobs
from slimbake.images.model import StoredImage, StoredLayer
from slimbake.images.sizes import Image, MeasuredLayer, Measurement

LAYERS = "layers"  # in the workspace: what is in each layer, by its digest
_KEPT = 3000  # layers, the latest ones: one of torch takes 2 MB, one of a service 2 kB


def survey(
    sources: Iterable[Source],
    workspace: Workspace,
    *,
    compress: bool = False,
    lower_bound: bool = False,
) -> Survey:
    """Measure the images of open sources; only layers that the workspace does not know are read,
    each once.

    `compress`: also as gzip and zstd; `lower_bound`: also how far the fleet is from each file once.
    Both compress all that is not known, at some 20 MB a second. Raises SetupError where a
    layer cannot be read.
    """
    images: list[StoredImage] = []
    layers: dict[StoredLayer, Blobs] = {}
    for source in sources:
        images += source.images
        for image in source.images:
            for layer in image.layers:
                layers.setdefault(layer, source.blobs)
    distinct = {layer.diff: (layer, blobs) for layer, blobs in layers.items()}
    found = {
        diff: _contents(layer, blobs, workspace, compress)
        for diff, (layer, blobs) in distinct.items()
    }
    measurement = Measurement(tuple(_image(image, found) for image in images))
    floor = _bound(dict(distinct.values()), found, workspace) if lower_bound else None
    return Survey(measurement, found, floor)


def _contents(layer: StoredLayer, blobs: Blobs, workspace: Workspace, compress: bool) -> Contents:
    key = f"{LAYERS}/{layer.diff.removeprefix('sha256:')}"
    found = workspace.read(key, Contents.of_json)
    complete = found is not None and (not compress or found.gzip is not None)
    if found is None:
        with streams.layer(blobs, layer) as tar:
            found = layer_contents(streams.members(tar))
    if compress and found.gzip is None:
        found = compressed(functools.partial(streams.layer, blobs, layer), found)
    if not complete:
        workspace.write(key, asdict(found))
        workspace.trim(LAYERS, _KEPT)
    return found


def _image(image: StoredImage, found: Mapping[str, Contents]) -> Image:
    layers = (
        MeasuredLayer(
            diff=layer.diff,
            blob=layer.blob,
            uncompressed=found[layer.diff].uncompressed,
            compressed=layer.stored if layer.compressed else None,
            files=found[layer.diff].files,
        )
        for layer in image.layers
    )
    return Image(name=image.name, digest=image.digest, layers=tuple(layers))


def _bound(
    layers: Mapping[StoredLayer, Blobs], found: Mapping[str, Contents], workspace: Workspace
) -> Bound:
    digests = f"zstd {LEVEL} " + " ".join(layer.diff for layer in layers)
    key = f"{LAYERS}/bound-{hashlib.sha256(digests.encode()).hexdigest()}"
    if known := workspace.read(key, lambda said: typed(Bound, said)):
        return known
    made = bound(layers, found)
    workspace.write(key, asdict(made))
    return made
