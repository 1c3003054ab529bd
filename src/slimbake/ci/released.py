"""What was released, by digest: for what deploys it, and for what signs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from slimbake.plan.model import Plan
from slimbake.registry.documents import platform_manifests
from slimbake.release.on_registry import OnRegistry
from slimbake.release.sbom import file_name


def deployed(
    plan: Plan, services: Sequence[str], names: Mapping[str, str], digests: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Each service's image by its digest, which no tag that moves changes, and the image of the
    weights that its containers mount. `names`: target -> name with a tag.
    """
    images = {}
    for target, name in names.items():
        repository = name.rpartition(":")[0]
        images[target] = f"{repository}@{digests[target]}"
    deployment = {}
    for service in plan.running(services):
        deployment[service.service] = {"image": images[service.service]}
        if service.weights in images:
            deployment[service.service]["weights"] = images[service.weights]
    return deployment


def subjects(
    images: Iterable[OnRegistry], sboms: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, str]]:
    """What is signed of these images: each by its digest, and of several platforms the index
    (platform "") and each of its images. `sboms`: service -> platform -> what is attached to it; a
    subject without one has no file of it.
    """
    for image in images:
        digest_of = {"": image.digest}
        for platform, manifest in platform_manifests(image.document).items():
            digest_of[platform] = manifest.digest
        for platform, digest in digest_of.items():
            name = f"{image.target}.{platform.replace('/', '_')}".rstrip(".")
            yield {
                "service": image.target,
                "platform": platform,
                "image": f"{image.repository}@{digest}",
                "repository": image.repository,
                "digest": digest,
                "sbom": file_name(name) if platform in sboms[image.target] else "",
            }
