"""An image on a registry, read over HTTP as it is stored."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import IO

from slimbake.errors import BuildError, SetupError, UsageError
from slimbake.images import layout
from slimbake.images.model import Address, StoredImage, short_name
from slimbake.registry import ImageRepository


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
        with _told():
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
        with _told(), self._repository.blob(digest) as stream:
            yield stream

    def close(self) -> None:
        """End the connection."""
        self._repository.close()

    def _document(self, reference: str) -> str:
        with _told():
            found = self._repository.manifest(reference)
        if found is None:
            raise UsageError(f"the registry has no {self._name}:{reference}")
        descriptor, document = found
        if reference.startswith("sha256:") and reference != descriptor.digest:
            raise SetupError(
                f"the registry answers {self._name}@{reference} with {descriptor.digest}"
            )
        self._listed |= {each["digest"] for each in document.get("manifests", ())}
        self._documents[descriptor.digest] = json.dumps(document).encode()
        return descriptor.digest


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Nothing is built here: a registry that cannot be read is a matter of the network or of
    credentials.
    """
    try:
        yield
    except BuildError as error:
        raise SetupError(error.message, error.hint) from None


def registry_image(registered: Registered, address: Address, platform: str) -> StoredImage:
    """The image that a reference names."""
    return layout.layout_image(
        registered, registered.resolve(), {}, short_name(address.place), platform
    )
