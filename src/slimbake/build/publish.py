"""From images that were checked to a registry: each with its SBOM, and with provenance where it is
asked for.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimbake.build import bake
from slimbake.build.command import Options, Surroundings
from slimbake.build.prepare import built_for
from slimbake.build.sbom import MEDIA_TYPE, file_name, sbom
from slimbake.build.statement import mark
from slimbake.console import Console
from slimbake.errors import BuildError
from slimbake.host.git import revision
from slimbake.plan.model import Plan
from slimbake.plan.origin import is_ours
from slimbake.registry import ImageRepository
from slimbake.registry.address import endpoint
from slimbake.registry.documents import INDEXES, Descriptor

if TYPE_CHECKING:  # requests costs 0.1 s
    from slimbake.registry.session import Host


def publish(
    plan: Plan,
    images: tuple[bake.Built, ...],
    names: Mapping[str, str],
    fingerprints: Mapping[str, str],
    root: Path,
    around: Surroundings,
    options: Options,
    console: Console,
) -> None:
    """Push images under their names, and attach their SBOMs to what the registry then holds.

    Last, an image gets the tag of its fingerprint, service -> what `released` gives: what has that
    tag is complete. What varies from build to build, the commit and the time, is said by what is
    attached, not by the image. SBOMs are made first: one that cannot be made keeps everything from
    being pushed. Raises BuildError and SetupError.
    """
    from slimbake.registry.session import Host

    if not images:  # to buildx, no target means all of them
        return
    documented = tuple(image for image in images if is_ours(plan.target(image.name)))
    for image in images:
        if image not in documented:
            console.say(f"{image.name}: no SBOM, since its Dockerfile is its own")
    wanted = [
        (image, platform) for image in documented for platform in _platforms(plan, image.name)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = list(
            pool.map(lambda each: sbom(plan, each[0].name, each[0].digest, root, each[1]), wanted)
        )
    if options.provenance:
        bake.push_with_provenance(plan, images, names, root, around, options)
    else:
        bake.push(names)
    annotations = _annotations(root)
    made = dict(zip(wanted, texts, strict=True))
    if not any(image in documented or image.name in fingerprints for image in images):
        return
    with contextlib.closing(Host(endpoint(names[images[0].name]), around.ca_bundle)) as host:
        for image in images:
            sboms = {platform: text for (of, platform), text in made.items() if of is image}
            fingerprint = fingerprints.get(image.name, "")
            if sboms or fingerprint:
                _complete(image, names[image.name], sboms, fingerprint, annotations, host)


def _platforms(plan: Plan, service: str) -> tuple[str, ...]:
    """The platforms of a service's image; "" for the only one."""
    platforms = built_for(plan, (plan.target(service),))
    return tuple(sorted(platforms)) if len(platforms) > 1 else ("",)


def _complete(
    image: bake.Built,
    name: str,
    sboms: Mapping[str, str],
    fingerprint: str,
    annotations: Mapping[str, str],
    host: Host,
) -> None:
    """Attach to what was pushed under a name each platform's SBOM, and at last say what it was
    released for.
    """
    at, _, under = name.rpartition(":")
    repository = ImageRepository(at, at=host)
    found = repository.document(under)
    if found is None:
        raise BuildError(f"{name} was pushed, and the registry does not have it")
    top, content = found.descriptor, repository.read(found)
    manifests = {"": top} if top.media_type not in INDEXES else _children(content)
    # Engines with the containerd store call an image by its manifest, those without by its
    # configuration.
    known = {
        top.digest,
        *(m.digest for m in manifests.values()),
        content.get("config", {}).get("digest"),
    }
    if image.digest not in known:
        raise BuildError(
            f"{name} was pushed, and is another image by now: no SBOM was attached to it"
        )
    for platform, text in sboms.items():
        subject = manifests[platform] if platform else next(iter(manifests.values()))
        repository.attach(subject, MEDIA_TYPE, file_name(image.name), text.encode(), annotations)
    if fingerprint:
        mark(repository, found, fingerprint, annotations)


def _children(index: Mapping[str, Any]) -> dict[str, Descriptor]:
    """The platform manifests of an index by their platforms, without what attests to them."""
    found = {}
    for entry in index["manifests"]:
        at = entry.get("platform", {})
        if at.get("os", "unknown") != "unknown":
            words = [at["os"], at["architecture"], at.get("variant", "")]
            found["/".join(filter(None, words))] = Descriptor(
                entry["mediaType"], entry["digest"], entry["size"]
            )
    return found


def _annotations(root: Path) -> dict[str, str]:
    """What varies from build to build: the commit, where there is one, and the time."""
    now = datetime.datetime.now(datetime.UTC)
    found = {"org.opencontainers.image.created": now.isoformat(timespec="seconds")}
    if commit := revision(root):
        found["org.opencontainers.image.revision"] = commit
    return found
