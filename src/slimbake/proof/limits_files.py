"""The files of each layer with their bytes: read once, as a stream, and kept by the layer's digest."""

from __future__ import annotations

from collections.abc import Mapping

from slimbake.host.workspace import Workspace
from slimbake.images import Source, streams
from slimbake.images.contents import clean


def files(source: Source, workspace: Workspace) -> Mapping[str, Mapping[str, int]]:
    """Of each layer of these images, by the digest of its tar, path -> bytes. Hard links hold none
    of their own.

    Raises SetupError where a layer cannot be read.
    """
    found: dict[str, dict[str, int]] = {}
    for image in source.images:
        for layer in image.layers:
            if layer.diff in found:
                continue
            key = f"limits/files-{layer.diff.removeprefix('sha256:')}"
            known: dict[str, int] | None = workspace.read(key, dict)
            if known is None:
                with streams.layer(source.blobs, layer) as tar:
                    known = {
                        clean(member.name): member.size
                        for member, content in streams.members(tar)
                        if content
                    }
                workspace.write(key, known)
            found[layer.diff] = known
    return found
