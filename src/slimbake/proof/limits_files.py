"""The files of each layer with their bytes: read once, as a stream, and kept by the layer's digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slimbake.images import Source, streams
from slimbake.images.contents import clean
from slimbake.images.shelf import Shelf


def files(source: Source, shelf: Shelf) -> Mapping[str, Mapping[str, int]]:
    """Of each layer of these images, by the digest of its tar, path -> bytes. Hard links hold none
    of their own.

    Raises SetupError where a layer cannot be read.
    """
    found: dict[str, dict[str, int]] = {}
    for image in source.images:
        for layer in image.layers:
            if layer.diff in found:
                continue
            key = f"files-{layer.diff.removeprefix('sha256:')}"
            known: dict[str, Any] = shelf.get(key)
            if not known:
                with streams.layer(source.blobs, layer) as tar:
                    known = {
                        "files": {
                            clean(member.name): member.size
                            for member, content in streams.members(tar)
                            if content
                        }
                    }
                shelf.put(key, known)
            found[layer.diff] = known["files"]
    return found
