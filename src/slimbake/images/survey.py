"""Measures images in all detail, wherever they lie: what is in their layers, and what that comes
to.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from slimbake.host.workspace import Workspace
from slimbake.images import Source, streams
from slimbake.images.contents import compressed, layer_contents
from slimbake.images.detail import Contents, Survey
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
) -> Survey:
    """Measure the images of open sources; only layers that the workspace does not know are read,
    each once.

    `compress`: also as gzip and zstd, at some 20 MB a second where that is not known. Raises
    SetupError where a layer cannot be read.
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
    return Survey(measurement, found)


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
