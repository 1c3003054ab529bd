"""Images where they lie, as values: an engine, an OCI layout or a registry; each by its address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

LAYOUT = "oci-layout://"
REGISTRY = "registry://"


@dataclass(frozen=True, slots=True)
class Address:
    """Where one image, or all images of a layout, lie."""

    kind: Literal["engine", "layout", "registry"]
    place: str  # an engine's name or id, the path of a layout, or HOST/NAME:TAG
    name: str = ""  # which image of a layout: its tag, name or digest; "" = all of them

    def __str__(self) -> str:
        prefix = {"engine": "", "layout": LAYOUT, "registry": REGISTRY}[self.kind]
        return f"{prefix}{self.place}" + (f":{self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer as its image's manifest and configuration name it."""

    diff: str  # digest of the uncompressed tar
    blob: str  # digest of the tar as stored
    stored: int  # bytes of the blob
    compressed: bool


@dataclass(frozen=True, slots=True)
class StoredImage:
    # the last part of its repository, which for a service of a fleet is the service's name
    name: str
    # what it is called by: its manifest's, its index's, or that of its configuration on some
    # engines
    digest: str
    manifest: str  # digest of its manifest, the one for the platform
    config: str  # digest of its configuration
    layers: tuple[StoredLayer, ...]  # bottom first


def address(text: str) -> Address:
    """What a person means: `registry://HOST/NAME:TAG`, `oci-layout://PATH[:TAG]`, a path, or an
    engine's image.

    A path begins with `/`, `./` or `../`, or ends in `.tar`. As BuildKit reads them, a layout's tag
    follows the last colon, or is a digest behind an `@`.
    """
    if text.startswith(REGISTRY):
        return Address("registry", text.removeprefix(REGISTRY))
    if text.startswith(LAYOUT) or re.match(r"\.{0,2}/", text) or text.endswith(".tar"):
        place = text.removeprefix(LAYOUT)
        path, at, digest = place.rpartition("@")
        if at:
            return Address("layout", path, digest)
        path, colon, tag = place.partition(":")
        return Address("layout", path, tag if colon else "")
    return Address("engine", text)


def short_name(reference: str) -> str:
    """The last part of a reference's repository."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
