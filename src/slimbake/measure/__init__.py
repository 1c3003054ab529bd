"""The measure stage: what images weigh, read from the engine by the digests that were just built."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import zstandard

from slimbake import docker
from slimbake.measure.model import Image, Layer, Measurement
from slimbake.state import write_atomically

_JSON_LIMIT = 4_000_000  # bytes; manifests and configurations are far smaller, layers that start like them are not JSON


_KEPT = 1000  # images in the cache, the latest ones


def measure(images: Mapping[str, str], cache: Path) -> Measurement:
    """Measure images that the engine holds.

    `images`: name -> image id, as built. `cache`: a file of what was measured before; an image is addressed by its
    content, so that never ages. Raises SetupError where the engine cannot save an image.
    """
    known = _load(cache)
    unknown = sorted({image for image in images.values() if image not in known})
    if unknown:
        known |= _read(unknown, {layer.blob: layer for layers in known.values() for layer in layers})
        kept = list(known.items())[-_KEPT:]
        text = json.dumps({image: [layer.as_json() for layer in layers] for image, layers in kept}, indent=1)
        write_atomically(cache, text.encode())
        write_atomically(cache.with_name(".gitignore"), b"*\n")
    return Measurement(tuple(Image(name=name, digest=image, layers=known[image]) for name, image in images.items()))


def _load(cache: Path) -> dict[str, tuple[Layer, ...]]:
    try:
        found = json.loads(cache.read_text("utf-8"))
        return {image: tuple(Layer(**layer) for layer in layers) for image, layers in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _read(images: Sequence[str], known: Mapping[str, Layer]) -> dict[str, tuple[Layer, ...]]:
    """The layers of saved images, by image id. In the stream, blobs may come before the manifests that name them.

    `known`: layers by the digest of their blob; what is in those is not read again.
    """
    documents: dict[str, Any] = {}
    sizes: dict[str, int] = {}  # blob digest -> bytes as it lies in the store
    contents: dict[str, tuple[int, int]] = {blob: (layer.uncompressed, layer.files) for blob, layer in known.items()}
    with docker.saved(images) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            data = archive.extractfile(member)
            if data is None or not member.name.startswith("blobs/sha256/"):
                continue
            digest = "sha256:" + member.name.rpartition("/")[2]
            sizes[digest] = member.size
            stored: Any = io.BufferedReader(cast(io.RawIOBase, data))
            if stored.peek(1)[:1] == b"{" and member.size < _JSON_LIMIT:
                documents[digest] = json.load(stored)
            elif digest not in contents:
                contents[digest] = _contents(stored)
    found: dict[str, tuple[Layer, ...]] = {}
    for digest, manifest in documents.items():
        if "layers" not in manifest:
            continue
        diffs = documents[manifest["config"]["digest"]]["rootfs"]["diff_ids"]
        layers = tuple(
            _layer(blob, diff, sizes, contents) for blob, diff in zip(manifest["layers"], diffs, strict=True)
        )
        # Engines with the containerd store call an image by its manifest, those without by its configuration.
        found[digest] = found[manifest["config"]["digest"]] = layers
    return {image: found[image] for image in images}


def _layer(
    blob: Mapping[str, Any], diff: str, sizes: Mapping[str, int], contents: Mapping[str, tuple[int, int]]
) -> Layer:
    digest = blob["digest"]
    compressed = blob["mediaType"].endswith(("gzip", "zstd"))
    size, files = contents[digest]
    return Layer(
        diff=diff,
        blob=digest,
        uncompressed=size,
        compressed=sizes[digest] if compressed else None,
        files=files,
    )


def _contents(stored: Any) -> tuple[int, int]:
    """Bytes and number of the regular files in a layer, whichever way it is compressed."""
    raw: Any = stored
    head = stored.peek(4)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raw = zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True)
    elif head.startswith(b"\x1f\x8b"):
        raw = gzip.GzipFile(fileobj=stored)
    size = files = 0
    with tarfile.open(fileobj=raw, mode="r|") as archive:
        for member in _members(archive):
            if member.isreg():
                size, files = size + member.size, files + 1
    return size, files


def _members(archive: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    while member := archive.next():
        archive.members = []  # type: ignore[attr-defined]  # a layer of torch has 30,000 of them: nobody asks twice
        yield member
