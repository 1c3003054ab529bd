"""What a pipeline released and signs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slimbake.registry.documents import platform_manifests
from slimbake.release.on_registry import OnRegistry
from slimbake.release.sbom import file_name


@dataclass(frozen=True, slots=True)
class Subject:
    """What is signed: an image for one platform, or the index of several."""

    service: str
    platform: str  # "" = the only one, or the index
    repository: str
    digest: str
    sbom: str = ""  # the file of its SBOM; "" = none is attached to it

    @property
    def image(self) -> str:
        """By its digest."""
        return f"{self.repository}@{self.digest}"


def subjects(
    images: Iterable[OnRegistry], sboms: Mapping[str, Mapping[str, str]]
) -> tuple[Subject, ...]:
    """What is signed of these images. `sboms`: service -> platform -> what is attached to it."""
    return tuple(each for image in images for each in _subjects(image, sboms[image.target]))


def _subjects(image: OnRegistry, sboms: Mapping[str, str]) -> Iterator[Subject]:
    manifests = platform_manifests(image.document)
    if "" not in manifests:
        yield Subject(image.target, "", image.repository, image.digest)
    for platform, each in manifests.items():
        name = f"{image.target}.{platform.replace('/', '_')}" if platform else image.target
        sbom = file_name(name) if platform in sboms else ""
        yield Subject(image.target, platform, image.repository, each.digest, sbom)


def released_json(found: Iterable[Subject]) -> dict[str, Any]:
    """For the job that signs."""
    images = [
        {
            "service": each.service,
            "platform": each.platform,
            "image": each.image,
            "repository": each.repository,
            "digest": each.digest,
            "sbom": each.sbom,
        }
        for each in found
    ]
    return {"images": images}
