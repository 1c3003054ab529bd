"""From images that were checked to a registry: each with its SBOM."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Mapping
from pathlib import Path

from slimbake.host.git import revision
from slimbake.plan.origin import is_ours
from slimbake.registry import ImageRepository
from slimbake.registry.address import endpoint
from slimbake.registry.documents import CREATED, StoredManifest, platform_manifests
from slimbake.release.layers import publish_layers
from slimbake.release.place import BakeRequest, BuildPlace, BuiltImage
from slimbake.release.sbom import MEDIA_TYPE, file_name, sbom
from slimbake.release.site import Site, built_for
from slimbake.release.statement import mark

Documents = Mapping[str, Mapping[str, str]]
"""Target -> platform, "" for the only one -> its SBOM."""


def sboms(site: Site, images: tuple[BuiltImage, ...], platform: str = "") -> Documents:
    """The SBOMs of the services among these images, for each platform that they are built for.

    Raises SetupError for one that cannot be made.
    """
    jobs = {}
    for image in images:
        target = site.plan.target(image.name)
        if target.kind != "service":
            continue
        if not is_ours(target):
            site.console.say(f"{image.name}: no SBOM, since its Dockerfile is its own")
            continue
        for built in _platforms(site, image.name, platform):
            jobs[f"{image.name} {built}".rstrip()] = (image, built)

    def write(job: tuple[BuiltImage, str]) -> str:
        image, built = job
        return sbom(site.plan, image.name, image.image, site.root, built)

    with site.console.tracked("write SBOMs") as work:
        texts = work.each(write, jobs.items(), os.cpu_count() or 1)
    texts_of: dict[str, dict[str, str]] = {}
    for (image, built), text in zip(jobs.values(), texts, strict=True):
        texts_of.setdefault(image.name, {})[built] = text
    return texts_of


def publish(
    site: Site,
    place: BuildPlace,
    images: tuple[BuiltImage, ...],
    names: Mapping[str, str],
    request: BakeRequest,
    documents: Documents,
    fingerprints: Mapping[str, str],
) -> dict[str, str]:
    """Push images under their names, and attach their SBOMs to what the registry then holds: target
    -> REPOSITORY@DIGEST.

    Last, an image gets the tag of its fingerprint, target -> what `registry_fingerprints` gives:
    what has that tag is complete. What varies from build to build, the commit and the time, is said
    by what is attached, not by the image. Raises BuildError and RegistryError.
    """
    from slimbake.registry.session import Host

    if not images:  # to buildx, no target means all of them
        return {}
    annotations = _annotations(site.root)
    pushed = {}
    repositories = {}
    with contextlib.closing(Host(endpoint(names[images[0].name]), site.around.ca_bundle)) as host:
        manifests = place.push(site, images, names, host)
        with site.console.tracked("attach SBOMs", manifests) as work:
            for name, document in manifests.items():
                repository_name = names[name].rpartition(":")[0]
                repository = ImageRepository(repository_name, host=host)
                with work.step(name):
                    _attach(repository, name, document, documents.get(name, {}), annotations)
                    if fingerprint := fingerprints.get(name):
                        mark(repository, document, fingerprint, annotations)
                pushed[name] = f"{repository_name}@{document.descriptor.digest}"
                repositories[name] = (repository_name, document)
    publish_layers(site, repositories, request)
    return pushed


def _platforms(site: Site, service: str, platform: str) -> tuple[str, ...]:
    """The platforms of a service's image; "" for the only one. `platform`: as `sboms` has it."""
    if platform:
        return (platform,)
    platforms = built_for(site.plan, (site.plan.target(service),))
    if len(platforms) < 2:
        return ("",)
    return tuple(sorted(platforms))


def _attach(
    repository: ImageRepository,
    name: str,
    document: StoredManifest,
    sboms: Mapping[str, str],
    annotations: Mapping[str, str],
) -> None:
    """Attach each platform's SBOM to its manifest."""
    manifests = platform_manifests(document)
    for platform, text in sboms.items():
        subject = manifests.get(platform) or next(iter(manifests.values()))
        repository.attach(subject, MEDIA_TYPE, file_name(name), text.encode(), annotations)


def _annotations(root: Path) -> dict[str, str]:
    """What varies from build to build: the commit, where there is one, and the time."""
    values = {CREATED: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    if commit := revision(root):
        values["org.opencontainers.image.revision"] = commit
    return values
