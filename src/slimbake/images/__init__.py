"""Reads images wherever they lie: in the engine, in an OCI layout, on a registry; all in one way."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import platform as machine
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from slimbake import docker
from slimbake.errors import BuildError, SetupError, UsageError
from slimbake.images.layout import Blobs, Layout, layout_image, of_oci, opened_layout, stored_images
from slimbake.images.model import Address, StoredImage, short_name
from slimbake.registry import ImageRepository

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Source:
    """Images that are open for reading, and what reads their blobs."""

    images: tuple[StoredImage, ...]
    blobs: Blobs


def this_platform() -> str:
    """The platform of this machine, as images name it."""
    return f"linux/{_MACHINES.get(machine.machine(), machine.machine())}"


@contextlib.contextmanager
def opened(address: Address, platform: str) -> Iterator[Source]:
    """What lies at an address: one image, or all of a layout. Raises UsageError where nothing does,
    and SetupError.
    """
    if address.kind == "registry":
        with contextlib.closing(Registered(address.place)) as registered:
            yield Source((registry_image(registered, address, platform),), registered)
    elif address.kind == "layout":
        with opened_layout(Path(address.place)) as found:
            yield Source(stored_images(found, address, platform), found)
    else:
        engine = Engine({short_name(address.place): identity(address.place)}, platform)
        with contextlib.closing(engine):
            yield Source(engine.images, engine)


def identity(name: str) -> str:
    """The id of an engine's image. Raises UsageError where the engine has none of that name."""
    found = docker.find_image(name)
    if found is None:
        hint = (
            "`docker images` lists what it has; others are named oci-layout://PATH[:TAG] or"
            " registry://HOST/NAME:TAG"
        )
        raise UsageError(f"the engine has no image '{name}'", hint)
    return found.id


class Engine:
    """Images of the engine, by id, each under a name of the caller's; saved when the first of them
    is read.

    An engine gives out whole images only, in an order of its own: they lie in a folder until
    `close`.
    """

    def __init__(self, ids: Mapping[str, str], platform: str) -> None:
        self._ids, self._platform = dict(ids), platform
        self._stack = contextlib.ExitStack()

    @functools.cached_property
    def _layout(self) -> Layout:
        folder = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="slimbake-saved-"))
        )
        try:
            with (
                docker.saved(sorted(set(self._ids.values()))) as stream,
                tarfile.open(fileobj=stream, mode="r|") as tar,
            ):
                tar.extractall(folder, filter="data")
        except OSError as error:
            raise SetupError(
                f"images could not be written to {folder}: {error.strerror}", "TMPDIR is where"
            ) from None
        if not (folder / "index.json").is_file():
            raise SetupError(
                "this engine saves images in an old form", "Docker 25 and newer save OCI layouts"
            )
        return self._stack.enter_context(opened_layout(folder))

    @functools.cached_property
    def images(self) -> tuple[StoredImage, ...]:
        """The images. Raises SetupError where the engine cannot save one."""
        listed = stored_images(self._layout, Address("layout", "the engine"), self._platform)
        by_id = {
            key: image for image in listed for key in (image.digest, image.manifest, image.config)
        }
        return tuple(replace(by_id[id_], name=name, digest=id_) for name, id_ in self._ids.items())

    def open(self, digest: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A blob of theirs."""
        return self._layout.open(digest)

    def close(self) -> None:
        """Remove what was saved."""
        self._stack.close()


# An image on a registry, read over HTTP as it is stored.


class Registered:
    """What a repository holds: documents are kept, layers are streams."""

    def __init__(self, reference: str) -> None:
        """Raises SetupError where the registry cannot be asked."""
        name, at, digest = reference.partition("@")
        last = name.rpartition("/")[2]
        tag = last.partition(":")[2]
        self._name, self._reference = (
            name.removesuffix(f":{tag}") if tag else name,
            digest if at else tag or "latest",
        )
        self._documents: dict[str, bytes] = {}
        # manifests that an index lists: a registry does not give them out as blobs
        self._listed: set[str] = set()
        with _not_built_here():
            self._repository = ImageRepository(self._name)

    def resolve(self) -> str:
        """The digest of what the reference names now. Raises UsageError where there is nothing."""
        return self._document(self._reference)

    @contextlib.contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """A document that is kept, or a blob as a stream."""
        if digest in self._listed and digest not in self._documents:
            self._document(digest)
        if digest in self._documents:
            yield io.BytesIO(self._documents[digest])
            return
        with _not_built_here(), self._repository.blob(digest) as stream:
            yield stream

    def close(self) -> None:
        """End the connection."""
        self._repository.close()

    def _document(self, reference: str) -> str:
        with _not_built_here():
            found = self._repository.manifest(reference)
        if found is None:
            raise UsageError(f"the registry has no {self._name}:{reference}")
        descriptor, document = found
        if reference.startswith("sha256:") and reference != descriptor.digest:
            raise SetupError(
                f"the registry answers {self._name}@{reference} with {descriptor.digest}"
            )
        with of_oci(self._name):
            self._listed |= {each["digest"] for each in document.get("manifests", ())}
        self._documents[descriptor.digest] = json.dumps(document).encode()
        return descriptor.digest


@contextlib.contextmanager
def _not_built_here() -> Iterator[None]:
    """Nothing is built here: a registry that cannot be read is a matter of the network or of
    credentials.
    """
    try:
        yield
    except BuildError as error:
        raise SetupError(error.message, error.hint) from None


def registry_image(registered: Registered, address: Address, platform: str) -> StoredImage:
    """The image that a reference names."""
    return layout_image(registered, registered.resolve(), {}, short_name(address.place), platform)
