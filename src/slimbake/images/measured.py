"""The measure stage: what images weigh, read from the engine by the digests that were just built."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from slimbake import docker
from slimbake.host.typed import typed
from slimbake.host.workspace import Workspace
from slimbake.images import streams, this_platform
from slimbake.images.layout import for_platform
from slimbake.images.model import StoredImage, StoredLayer
from slimbake.images.sizes import Image, MeasuredLayer, Measurement

# bytes; manifests and configurations are far smaller, layers that start like them are not JSON
_JSON_LIMIT = 4_000_000
_KEPT = 1000  # images, the latest ones
MEASURED = "measured"  # in the workspace


def measure_images(
    images: Mapping[str, str], workspace: Workspace, layouts: Path | None = None
) -> Measurement:
    """Measure images that the engine holds; of one for several platforms, that for this machine's.

    `images`: name -> image id, as built. `workspace`: keeps what was measured; an image is addressed
    by its content, so that never ages. `layouts`: what `known_layers` gave, once a build has filled
    it; it is removed. Raises SetupError where the engine cannot save an image.
    """
    known = _known(workspace)
    unknown = sorted({image for image in images.values() if image not in known})
    if unknown:
        layers = _layers(known)
        found = _exported(layouts, layers) if layouts else {}
        rest = [image for image in unknown if image not in found]
        found |= _saved(rest, layers) if rest else {}
        known |= {image: found[image] for image in unknown}
        _store(workspace, known)
    if layouts:
        shutil.rmtree(layouts, ignore_errors=True)
    return Measurement(
        tuple(Image(name=name, digest=image, layers=known[image]) for name, image in images.items())
    )


def known_layers(names: Iterable[str], workspace: Workspace) -> Path | None:
    """A folder of the workspace into which a build can put OCI layouts of these images, less the
    layers known by now.

    To save an image of torch takes seconds; of a change to its service only the layer that is new
    is written here. The known layers lie there as files without content, which is what keeps them
    from being written. None where nothing is known: an engine saves what images share once, builds
    would write it once for each. None too where the workspace cannot be written to.
    """
    layers = _layers(_known(workspace))
    if not layers:
        return None
    layouts = workspace.path("layouts")
    shutil.rmtree(layouts, ignore_errors=True)
    blobs = layouts / "blobs" / "sha256"
    try:
        blobs.mkdir(parents=True)
        for digest in layers:
            (blobs / digest.removeprefix("sha256:")).touch()
        for name in names:
            (layouts / name).mkdir()
            (layouts / name / "blobs").symlink_to(Path("..", "blobs"))
    except OSError:
        return None
    return layouts


def stored(images: Mapping[str, str], workspace: Workspace) -> tuple[StoredImage, ...] | None:
    """The images as they were measured before, so that an engine need not save them; None where one
    is unknown.
    """
    known = _known(workspace)
    if not all(image in known for image in images.values()):
        return None
    return tuple(
        StoredImage(
            name,
            image,
            "",
            "",
            tuple(
                StoredLayer(
                    layer.diff, layer.blob, layer.compressed or 0, layer.compressed is not None
                )
                for layer in known[image]
            ),
        )
        for name, image in images.items()
    )


def remembered(images: Mapping[str, str], workspace: Workspace) -> Measurement:
    """Those of these images, name -> id, that were measured before."""
    known = _known(workspace)
    return Measurement(
        tuple(Image(name, image, known[image]) for name, image in images.items() if image in known)
    )


def remember(measured: Measurement, workspace: Workspace) -> None:
    """Keep what images weigh where `measure` and `stored` find it."""
    known = _known(workspace)
    if new := {
        image.digest: image.layers for image in measured.images if image.digest not in known
    }:
        _store(workspace, known | new)


def _known(workspace: Workspace) -> dict[str, tuple[MeasuredLayer, ...]]:
    def parse(said: Any) -> dict[str, tuple[MeasuredLayer, ...]]:
        return {
            image: tuple(typed(MeasuredLayer, layer) for layer in layers)
            for image, layers in said.items()
        }

    return workspace.read(MEASURED, parse) or {}


def _store(workspace: Workspace, known: Mapping[str, tuple[MeasuredLayer, ...]]) -> None:
    kept = list(known.items())[-_KEPT:]
    workspace.write(
        MEASURED, {image: [layer.as_json() for layer in layers] for image, layers in kept}
    )


def _layers(known: Mapping[str, tuple[MeasuredLayer, ...]]) -> dict[str, MeasuredLayer]:
    """The layers of measured images by the digest of their blob."""
    return {layer.blob: layer for layers in known.values() for layer in layers}


class _Blobs:
    """The blobs of one or more images in a format of OCI, in any order; of those that are known,
    only the names.
    """

    def __init__(self, known: Mapping[str, MeasuredLayer]) -> None:
        self._documents: dict[str, Any] = {}
        self._sizes = {blob: layer.compressed for blob, layer in known.items()}
        self._contents = {blob: (layer.uncompressed, layer.files) for blob, layer in known.items()}

    def take(self, digest: str, size: int, stored: Any) -> None:
        """Read a blob of `size` bytes from `stored`, a buffered reader."""
        if digest in self._contents:
            return
        self._sizes[digest] = size
        if stored.peek(1)[:1] == b"{" and size < _JSON_LIMIT:
            self._documents[digest] = json.load(stored)
        else:
            self._contents[digest] = _contents(stored)

    def images(self) -> dict[str, tuple[MeasuredLayer, ...]]:
        """The layers of every image, by each id that an engine may call it by."""
        found: dict[str, tuple[MeasuredLayer, ...]] = {}
        for digest, manifest in self._documents.items():
            if "layers" not in manifest:
                continue
            diffs = self._documents[manifest["config"]["digest"]]["rootfs"]["diff_ids"]
            layers = tuple(
                self._layer(blob, diff)
                for blob, diff in zip(manifest["layers"], diffs, strict=True)
            )
            # Engines with the containerd store call an image by its manifest, those without by its
            # configuration.
            found[digest] = found[manifest["config"]["digest"]] = layers
        return found | {
            digest: found[chosen]
            for digest, index in self._documents.items()
            if "manifests" in index and (chosen := for_platform(index, this_platform())) in found
        }

    def _layer(self, blob: Mapping[str, Any], diff: str) -> MeasuredLayer:
        digest = blob["digest"]
        compressed = blob["mediaType"].endswith(("gzip", "zstd"))
        size, files = self._contents[digest]
        return MeasuredLayer(
            diff=diff,
            blob=digest,
            uncompressed=size,
            compressed=self._sizes[digest] if compressed else None,
            files=files,
        )


def _saved(
    images: Sequence[str], known: Mapping[str, MeasuredLayer]
) -> dict[str, tuple[MeasuredLayer, ...]]:
    """The layers of these images, as the engine saves them: in the stream, blobs may come before
    what names them.
    """
    blobs = _Blobs(known)
    with docker.saved(images) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            data = archive.extractfile(member)
            if data is not None and member.name.startswith("blobs/sha256/"):
                stored = io.BufferedReader(cast(io.RawIOBase, data))
                blobs.take(f"sha256:{member.name.rpartition('/')[2]}", member.size, stored)
    return blobs.images()


def _exported(
    layouts: Path, known: Mapping[str, MeasuredLayer]
) -> dict[str, tuple[MeasuredLayer, ...]]:
    """The layers of the images whose layouts a build has put here."""
    blobs = _Blobs(known)
    for path in (layouts / "blobs" / "sha256").iterdir():
        with path.open("rb") as stored:
            blobs.take(f"sha256:{path.name}", path.stat().st_size, stored)
    return blobs.images()


def _contents(stored: Any) -> tuple[int, int]:
    """Bytes and number of the regular files in a layer, whichever way it is compressed."""
    size = files = 0
    for member, _ in streams.members(streams.plain(stored)):
        if member.isreg():
            size, files = size + member.size, files + 1
    return size, files
