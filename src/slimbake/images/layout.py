"""An OCI layout, a folder or a tar file, and the images in it."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol, cast

from slimbake.errors import SetupError, UsageError
from slimbake.host.typed import WRONG, typed
from slimbake.images.model import Address, StoredImage, StoredLayer, short_name
from slimbake.registry.documents import is_digest

_DOCUMENT_LIMIT = 16_000_000  # bytes; a manifest or configuration is far smaller


class Blobs(Protocol):
    """What holds blobs: reads any of them from its beginning, by its digest."""

    def open(self, digest: str) -> contextlib.AbstractContextManager[IO[bytes]]: ...


class Layout:
    """A layout that is open for reading; every file in it by its path."""

    def __init__(self, path: Path, open_: Callable[[str], IO[bytes]]) -> None:
        self._path, self._open = path, open_

    @contextlib.contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """A blob. Raises SetupError where the layout lacks it."""
        try:
            if not is_digest(digest):  # it would be a path to elsewhere
                raise KeyError(digest)
            found = self._open(f"blobs/{digest.replace(':', '/', 1)}")
        except (OSError, KeyError):
            raise SetupError(
                f"{self._path} lacks the blob {digest}", "the layout is incomplete: write it again"
            ) from None
        with found:
            yield found

    def index(self) -> dict[str, Any]:
        """The layout's list of images. Raises UsageError where this is no layout."""
        try:
            with self._open("index.json") as file:
                return dict(json.load(file))
        except (OSError, *WRONG):
            hint = (
                "`docker buildx build --output type=oci,dest=FILE.tar` and `docker save` of Docker"
                " 25 write them"
            )
            raise UsageError(f"{self._path} is no OCI layout: it has no index.json", hint) from None


@contextlib.contextmanager
def opened_layout(path: Path) -> Iterator[Layout]:
    """A layout in a folder or an uncompressed tar file. Raises UsageError where it is neither."""
    if path.is_dir():
        yield Layout(path, lambda name: (path / name).open("rb"))
        return
    try:
        archive = tarfile.open(path, "r:")  # noqa: SIM115 - closed below
    except (OSError, tarfile.TarError) as error:
        reason = (
            "there is no such file"
            if isinstance(error, FileNotFoundError)
            else "it is no uncompressed tar file"
        )
        raise UsageError(f"{path} is no OCI layout: {reason}") from None
    with archive:
        members = {member.name.removeprefix("./"): member for member in archive}
        yield Layout(path, lambda name: cast("IO[bytes]", archive.extractfile(members[name])))


def stored_images(layout: Layout, address: Address, platform: str) -> tuple[StoredImage, ...]:
    """The images of a layout, or the one that the address names, once for each short name.

    Raises UsageError where there is none of that name.
    """
    listed: dict[str, tuple[Mapping[str, Any], set[str]]] = {}
    with of_oci(address.place):
        for entry in layout.index().get("manifests", ()):
            notes = entry.get("annotations") or {}
            _, names = listed.setdefault(entry["digest"], (entry, set()))
            names |= {
                str(notes.get("io.containerd.image.name", "")),
                str(notes.get("org.opencontainers.image.ref.name", "")),
            } - {""}
    wanted = {
        d: each for d, each in listed.items() if not address.name or address.name in (d, *each[1])
    }
    if not wanted:
        held = sorted({name for _, names in listed.values() for name in names})
        raise UsageError(
            f"{address.place} holds no image '{address.name}'",
            f"it holds: {', '.join(held) or 'none'}",
        )
    return tuple(
        replace(found, name=name)
        for digest, (entry, names) in wanted.items()
        for found in [layout_image(layout, digest, entry, address.place, platform)]
        for name in _short_names(names, address)
    )


def _short_names(names: set[str], address: Address) -> list[str]:
    """Tags alone are no names; of what is named by an address, one is enough."""
    found = sorted({short_name(name) for name in names if "/" in name}) or [
        Path(address.place).stem
    ]
    return found[:1] if address.name else found


def layout_image(
    blobs: Blobs, digest: str, document: Mapping[str, Any], name: str, platform: str
) -> StoredImage:
    """The image that a manifest, or an index that lists it for a platform, describes.

    `document`: what is known of it, its media type at least. Raises UsageError where the index has
    none for the platform, and SetupError where a document is missing or broken.
    """
    with of_oci(name or digest):
        return _image(blobs, digest, document, name, platform)


@contextlib.contextmanager
def of_oci(name: str) -> Iterator[None]:
    """Raise SetupError where documents of an image say what the OCI's never do."""
    try:
        yield
    except WRONG as error:
        message = f"{name} is no image of the OCI: {type(error).__name__}: {error}"
        raise SetupError(message, "build it again, or take it from where it was built") from None


def _image(
    blobs: Blobs, digest: str, document: Mapping[str, Any], name: str, platform: str
) -> StoredImage:
    manifest = read_layout(blobs, digest)
    if "manifests" in manifest:
        if not (held := sorted(_platforms(manifest))):
            raise UsageError(f"{name} is an index without an image")
        if not (chosen := for_platform(manifest, platform)):
            raise UsageError(
                f"{name} has no image for {platform}", f"`--platform` takes: {', '.join(held)}"
            )
        entry = next(each for each in manifest["manifests"] if each["digest"] == chosen)
        return replace(_image(blobs, chosen, entry, name, platform), digest=digest)
    if "config" not in manifest:
        raise UsageError(
            f"{name or digest} is no image",
            f"its media type is {document.get('mediaType', 'unknown')}",
        )
    config = manifest["config"]["digest"]
    diffs = read_layout(blobs, config).get("rootfs", {}).get("diff_ids", [])
    layers = tuple(
        typed(
            StoredLayer,
            {
                "diff": diff,
                "blob": each["digest"],
                "stored": each["size"],
                "compressed": each["mediaType"].endswith(("gzip", "zstd")),
            },
        )
        for each, diff in zip(manifest["layers"], diffs, strict=True)
    )
    return StoredImage(name, digest, digest, config, layers)


def for_platform(index: Mapping[str, Any], platform: str) -> str:
    """The digest of the manifest that an index has for a platform, or of its only one; "" where it
    has none.
    """
    found = _platforms(index)
    return str(found.get(platform) or (next(iter(found.values())) if len(found) == 1 else ""))


def _platforms(index: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for each in index["manifests"]:
        of = each.get("platform") or {}
        if of.get("os") != "unknown":  # an attestation of another image
            found[
                "/".join(filter(None, (of.get("os"), of.get("architecture"), of.get("variant"))))
            ] = each["digest"]
    return found


def read_layout(blobs: Blobs, digest: str) -> dict[str, Any]:
    """A document that is a blob: a manifest, an index or a configuration. Raises SetupError where
    it is none.
    """
    with blobs.open(digest) as file:
        try:
            return dict(json.loads(file.read(_DOCUMENT_LIMIT)))
        except WRONG:
            raise SetupError(f"the blob {digest} is no JSON document") from None
