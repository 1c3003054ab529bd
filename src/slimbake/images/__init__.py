"""Reads images wherever they lie: in the engine, in an OCI layout, on a registry; all in one way."""

from __future__ import annotations

import contextlib
import functools
import platform as machine
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from slimbake import docker
from slimbake.errors import SetupError, UsageError
from slimbake.images import layout, registry
from slimbake.images.layout import Blobs, Layout
from slimbake.images.model import Address, StoredImage, short_name

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
        with contextlib.closing(registry.Registered(address.place)) as registered:
            yield Source((registry.registry_image(registered, address, platform),), registered)
    elif address.kind == "layout":
        with layout.opened_layout(Path(address.place)) as found:
            yield Source(layout.stored_images(found, address, platform), found)
    else:
        engine = Engine({short_name(address.place): identity(address.place)}, platform)
        with contextlib.closing(engine):
            yield Source(engine.images, engine)


def identity(name: str) -> str:
    """The id of an engine's image. Raises UsageError where the engine has none of that name."""
    found = docker.find_image(name)
    if found is None:
        hint = "others are named oci-layout://PATH[:TAG] or registry://HOST/NAME:TAG"
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
        return self._stack.enter_context(layout.opened_layout(folder))

    @functools.cached_property
    def images(self) -> tuple[StoredImage, ...]:
        """The images. Raises SetupError where the engine cannot save one."""
        listed = layout.stored_images(self._layout, Address("layout", "the engine"), self._platform)
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
