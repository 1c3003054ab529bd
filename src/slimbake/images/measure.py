"""Measures images of the engine: what their layers weigh, and what is in them.

The workspace keeps both. An image and a layer are named by their content, so that never ages.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from slimbake import docker
from slimbake.docker.engine import engine_platform
from slimbake.errors import SetupError
from slimbake.host.typed import WRONG, typed
from slimbake.host.workspace import Workspace
from slimbake.images.contents import read_layer
from slimbake.images.detail import Contents, Survey
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.images.streams import members
from slimbake.inside.budget import MEMORY, Budget
from slimbake.registry.documents import platforms

# bytes; manifests and configurations are far smaller, layers that start like them are not JSON
_JSON_LIMIT = 4_000_000
_IMAGE = 1 << 20  # bytes of memory more for each image: its manifest and configuration
IMAGES = "measured"  # in the workspace: the layers of each image, by its id
LAYERS = "layers"  # in the workspace: what is in each layer, by its digest
_KEPT_IMAGES = 1000  # the latest ones
_KEPT_LAYERS = 3000  # one of torch takes 2 MB, one of a service 2 kB

Layers = tuple[MeasuredLayer, ...]


def measure_images(
    images: Mapping[str, str], workspace: Workspace, layouts: Path | None = None
) -> Measurement:
    """Measure images that the engine holds; of one for several platforms, that for the engine's.

    `images`: name -> image id, as built. `layouts`: what `prepare_layouts` gave, once a build has
    filled it; it is removed. Raises SetupError where the engine cannot save an image.
    """
    record = _record(workspace)
    new = sorted(set(images.values()) - record.keys())
    if new:
        blobs = _Blobs(_by_blob(record), workspace, len(new))
        record |= blobs.measured(new, layouts)
        _write(workspace, record)
    if layouts:
        shutil.rmtree(layouts, ignore_errors=True)
    return _measurement(images, record)


def survey(images: Mapping[str, str], workspace: Workspace) -> Survey:
    """Measure images of the engine, name -> id, in all detail. Only those with a layer that the
    workspace does not know are read. Raises as `measure_images` does.
    """
    record = _record(workspace)
    contents: dict[str, Contents] = {}
    unread = set()
    for id_ in images.values():
        if id_ not in record:
            unread.add(id_)
            continue
        for layer in record[id_]:
            if layer.diff in contents:
                continue
            known = layer_record(layer.diff, workspace)
            if known:
                contents[layer.diff] = known
            else:
                unread.add(id_)
    if unread:
        read_before = {}
        for blob, layer in _by_blob(record).items():
            if layer.diff in contents:
                read_before[blob] = layer
        blobs = _Blobs(read_before, workspace, len(unread))
        record |= blobs.measured(sorted(unread))
        contents |= blobs.contents
        _write(workspace, record)
    measurement = _measurement(images, record)
    used = {}
    for image in measurement.images:
        for layer in image.layers:
            used[layer.diff] = contents[layer.diff]
    return Survey(measurement, used)


def _measurement(images: Mapping[str, str], record: Mapping[str, Layers]) -> Measurement:
    """Those of these images that are in the record."""
    measured = []
    for name, id_ in images.items():
        if id_ in record:
            measured.append(Image(name, id_, record[id_]))
    return Measurement(tuple(measured))


def prepare_layouts(names: Iterable[str], workspace: Workspace) -> Path | None:
    """A folder of the workspace into which a build can put OCI layouts of these images, less the
    layers that were measured before.

    To save an image of torch takes seconds; of a change to its service only the layer that is new
    is written here. The other layers lie there as files without content, which is what keeps them
    from being written. None where nothing was measured: an engine saves what images share once,
    builds would write it once for each. None too where the workspace cannot be written to.
    """
    layers = _by_blob(_record(workspace))
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


def last_measurement(images: Mapping[str, str], workspace: Workspace) -> Measurement:
    """Those of these images, name -> id, that were measured before."""
    return _measurement(images, _record(workspace))


def layer_record(diff: str, workspace: Workspace) -> Contents | None:
    """What is in a layer; None where it was not read here."""
    return workspace.read(_layer_file(diff), Contents.of_json)


def _layer_file(diff: str) -> str:
    return f"{LAYERS}/{diff.removeprefix('sha256:')}"


def _record(workspace: Workspace) -> dict[str, Layers]:
    """The layers of each image that was measured here, by its id."""

    def parse(content: Any) -> dict[str, Layers]:
        images = {}
        for image, layers in content.items():
            images[image] = tuple(typed(MeasuredLayer, layer) for layer in layers)
        return images

    return workspace.read(IMAGES, parse) or {}


def _write(workspace: Workspace, record: Mapping[str, Layers]) -> None:
    latest = {}
    for image, layers in list(record.items())[-_KEPT_IMAGES:]:
        latest[image] = [asdict(layer) for layer in layers]
    workspace.write(IMAGES, latest)
    workspace.trim(LAYERS, _KEPT_LAYERS)


def _by_blob(record: Mapping[str, Layers]) -> dict[str, MeasuredLayer]:
    by_blob: dict[str, MeasuredLayer] = {}
    for layers in record.values():
        by_blob |= {layer.blob: layer for layer in layers}
    return by_blob


class _Blobs:
    """The blobs of images in a format of OCI, in any order: in a stream, layers may come before
    what names them. Layers that were read before are not read again.
    """

    def __init__(
        self, read_before: Mapping[str, MeasuredLayer], workspace: Workspace, images: int
    ) -> None:
        """`images`: how many are read."""
        self._layers = dict(read_before)
        self._workspace = workspace
        self._budget = Budget(MEMORY + images * _IMAGE)
        self._documents: dict[str, Any] = {}
        self.contents: dict[str, Contents] = {}  # of the layers that were read, by digest

    def measured(self, ids: Sequence[str], layouts: Path | None = None) -> dict[str, Layers]:
        """The layers of these images: from the layouts that a build has written, where they are
        there, else as the engine saves them.
        """
        if layouts:
            for path in (layouts / "blobs" / "sha256").iterdir():
                with path.open("rb") as stored:
                    self._take(f"sha256:{path.name}", path.stat().st_size, stored)
        try:
            missing = [id_ for id_ in ids if not self._manifest(id_)]
            if missing:
                self._take_saved(missing)
            images = {}
            for id_ in ids:
                manifest = self._manifest(id_)
                if not manifest:
                    raise SetupError(
                        "this engine saves images in an old form",
                        "Docker 25 and newer save OCI layouts",
                    )
                images[id_] = tuple(self._image(manifest))
            return images
        except WRONG as error:
            raise SetupError(f"what images consist of cannot be read: {error!r}") from None

    def _take_saved(self, ids: Sequence[str]) -> None:
        with docker.saved(ids) as stream:
            for member, content in members(stream):
                if content is not None and member.name.startswith("blobs/sha256/"):
                    stored = io.BufferedReader(cast(io.RawIOBase, content))
                    self._take(f"sha256:{member.name.rpartition('/')[2]}", member.size, stored)

    def _take(self, digest: str, size: int, stored: Any) -> None:
        """Read a blob of `size` bytes from `stored`, a buffered reader."""
        if digest in self._layers:
            return
        if stored.peek(1)[:1] == b"{" and size < _JSON_LIMIT:
            text = stored.read()
            before = self._budget.left
            try:
                self._budget.spend_json(text)
                self._documents[digest] = json.loads(text)
                return
            except (ValueError, RecursionError):  # a layer may begin so, too
                self._budget.left = before
                stored = io.BufferedReader(io.BytesIO(text))
        diff, contents = read_layer(digest, stored, self._budget)
        self.contents[diff] = contents
        self._workspace.write(_layer_file(diff), asdict(contents))
        self._layers[digest] = MeasuredLayer(
            diff=diff,
            blob=digest,
            uncompressed=contents.uncompressed,
            compressed=size,
            files=contents.files,
        )

    def _manifest(self, id_: str) -> Mapping[str, Any]:
        """The manifest of an image, which the engine calls by its index, its manifest or, without
        the containerd store, its configuration; an empty one where it is not here.
        """
        document: Mapping[str, Any] = self._documents.get(id_, {})
        if "manifests" in document:
            by_platform = platforms(document)
            wanted = engine_platform() if len(by_platform) > 1 else ""
            entry = by_platform.get(wanted, next(iter(by_platform.values()), None))
            # One step: an index that names itself, or another, would have no end.
            return self._documents.get(entry.digest, {}) if entry else {}
        if "rootfs" not in document:
            return document
        for manifest in self._documents.values():
            if "layers" in manifest and manifest["config"]["digest"] == id_:
                return dict(manifest)
        return {}

    def _image(self, manifest: Mapping[str, Any]) -> Iterable[MeasuredLayer]:
        diffs = self._documents[manifest["config"]["digest"]]["rootfs"]["diff_ids"]
        for blob, diff in zip(manifest["layers"], diffs, strict=True):
            layer = self._layers[blob["digest"]]
            if layer.diff != diff:
                raise SetupError(
                    f"the layer {layer.blob} holds other content than its image names",
                    f"expected {diff}",
                )
            if not blob["mediaType"].endswith(("gzip", "zstd")):
                layer = replace(layer, compressed=None)
            yield layer
