"""Manifests and indexes as a registry holds them: bytes whose hash is their name. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slimbake.host.typed import json_value

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
_DOCKER = "application/vnd.docker.distribution.manifest"
INDEXES = (INDEX, f"{_DOCKER}.list.v2+json")
DOCUMENTS = (MANIFEST, f"{_DOCKER}.v2+json", *INDEXES)
CREATED = "org.opencontainers.image.created"  # the annotation of what varies from build to build
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest calls a blob or another manifest by."""

    media_type: str
    digest: str
    size: int  # bytes of what it stands for

    def as_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or an index: what it is called by, and its bytes, which are its identity."""

    descriptor: Descriptor
    content: bytes

    def read(self) -> dict[str, Any]:
        """What it says. Raises ValueError where that is no object."""
        document = json_value(self.content)
        if not isinstance(document, dict):
            raise ValueError("a manifest that is no object")
        return document


def descriptor_of(media_type: str, content: bytes) -> Descriptor:
    """The descriptor of these bytes."""
    return Descriptor(media_type, "sha256:" + hashlib.sha256(content).hexdigest(), len(content))


def stored_manifest(media_type: str, content: bytes) -> StoredManifest:
    """A document of these bytes."""
    return StoredManifest(descriptor_of(media_type, content), content)


def is_digest(text: str) -> bool:
    """Whether a text is a digest that can be checked here."""
    return bool(_DIGEST.fullmatch(text))


def platform_manifests(document: StoredManifest) -> dict[str, Descriptor]:
    """The manifests of an index by their platforms; a manifest itself under ""."""
    if document.descriptor.media_type not in INDEXES:
        return {"": document.descriptor}
    return platforms(document.read())


def platforms(index: Mapping[str, Any]) -> dict[str, Descriptor]:
    """The manifests of an index by their platforms, without those that attest to another."""
    by_platform = {}
    for entry in index["manifests"]:
        at = entry.get("platform", {})
        if at.get("os", "unknown") != "unknown":
            parts = [at["os"], at["architecture"], at.get("variant", "")]
            by_platform["/".join(filter(None, parts))] = Descriptor(
                entry["mediaType"], entry["digest"], entry["size"]
            )
    return by_platform
