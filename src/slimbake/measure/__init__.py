"""The measure stage: what images weigh, read from the engine by the digests that were just built."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import zstandard

from slimbake import docker
from slimbake.measure.model import Image, Layer, Measurement
from slimbake.state import write_atomically

_JSON_LIMIT = 4_000_000  # bytes; manifests and configurations are far smaller, layers that start like them are not JSON


def measure(images: Mapping[str, str], diff_ids: Mapping[str, tuple[str, ...]], cache: Path) -> Measurement:
    """Measure images that the engine holds.

    `images`: name -> image id, as built. `diff_ids`: name -> the digests of its layers' diffs, bottom first.
    `cache`: a file of layers that were measured before; a layer is addressed by its content, so that never ages.
    Raises SetupError where the engine cannot save an image.
    """
    known = _load(cache)
    unknown = {name for name, layers in diff_ids.items() if any(layer not in known for layer in layers)}
    if unknown:
        known |= _read([images[name] for name in sorted(unknown)], skip=known)
        write_atomically(cache, json.dumps({key: known[key].as_json() for key in sorted(known)}, indent=1).encode())
    return Measurement(
        tuple(
            Image(name=name, digest=digest, layers=tuple(known[diff] for diff in diff_ids[name]))
            for name, digest in images.items()
        )
    )


def _load(cache: Path) -> dict[str, Layer]:
    try:
        return {key: Layer(**value) for key, value in json.loads(cache.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError):
        return {}


def _read(images: list[str], skip: Mapping[str, Layer]) -> dict[str, Layer]:
    """Layers of saved images by the digest of their diff. Blobs come before the manifests that say what they are."""
    documents: dict[str, Any] = {}
    sizes: dict[str, int] = {}  # blob digest -> bytes as it lies in the store
    contents: dict[str, tuple[int, int]] = {}  # blob digest -> bytes and number of files
    done = {layer.blob for layer in skip.values()}
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
            elif digest not in done:
                contents[digest] = _contents(stored)
    layers: dict[str, Layer] = {}
    for manifest in documents.values():
        if "layers" not in manifest:
            continue
        configuration = documents[manifest["config"]["digest"]]
        for blob, diff in zip(manifest["layers"], configuration["rootfs"]["diff_ids"], strict=True):
            if diff in skip:
                continue
            compressed = blob["mediaType"].rpartition(".")[2].rpartition("+")[2] in ("gzip", "zstd")
            size, files = contents[blob["digest"]]
            layers[diff] = Layer(
                diff=diff,
                blob=blob["digest"],
                uncompressed=size,
                compressed=sizes[blob["digest"]] if compressed else None,
                files=files,
            )
    return layers


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
