"""Measures images in all detail, wherever they lie: what is in their layers, and what that comes
to.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from slimbake.images import Source, streams
from slimbake.images.bound import LEVEL, bound
from slimbake.images.compressed import compressed
from slimbake.images.contents import contents
from slimbake.images.detail import Bound, Contents, Survey
from slimbake.images.layout import Blobs
from slimbake.images.model import StoredImage, StoredLayer
from slimbake.images.shelf import Shelf
from slimbake.images.sizes import Image, Layer, Measurement


def survey(
    sources: Iterable[Source], shelf: Shelf, *, compress: bool = False, lower_bound: bool = False
) -> Survey:
    """Measure the images of open sources; only layers that are not on the shelf are read, each
    once.

    `compress`: also as gzip and zstd; `lower_bound`: also how far the fleet is from each file once.
    Both compress all that is not on the shelf, at some 20 MB a second. Raises SetupError where a
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
        diff: _contents(layer, blobs, shelf, compress) for diff, (layer, blobs) in distinct.items()
    }
    measurement = Measurement(tuple(_image(image, found) for image in images))
    floor = _bound(dict(distinct.values()), found, shelf) if lower_bound else None
    return Survey(measurement, found, floor)


def _contents(layer: StoredLayer, blobs: Blobs, shelf: Shelf, compress: bool) -> Contents:
    found = shelf.contents(layer.diff)
    complete = found is not None and (not compress or found.gzip is not None)
    if found is None:
        with streams.layer(blobs, layer) as tar:
            found = contents(streams.members(tar))
    if compress and found.gzip is None:
        found = compressed(functools.partial(streams.layer, blobs, layer), found)
    if not complete:
        shelf.keep(layer.diff, found)
    return found


def _image(image: StoredImage, found: Mapping[str, Contents]) -> Image:
    layers = (
        Layer(
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
    layers: Mapping[StoredLayer, Blobs], found: Mapping[str, Contents], shelf: Shelf
) -> Bound:
    digests = f"zstd {LEVEL} " + " ".join(layer.diff for layer in layers)
    key = "bound-" + hashlib.sha256(digests.encode()).hexdigest()
    if known := shelf.get(key):
        return Bound(**known)
    made = bound(layers, found)
    shelf.put(key, asdict(made))
    return made
