"""From what a registry has to a new version: the same bytes under another tag, nothing pulled and
nothing built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slimbake.build.missing import SECONDS, answers, doubted, missing, told
from slimbake.build.statement import stated
from slimbake.console import Console
from slimbake.errors import BuildError
from slimbake.plan.model import Plan
from slimbake.registry import ImageRepository
from slimbake.registry.documents import INDEXES, StoredManifest
from slimbake.registry.errors import RegistryError


@dataclass(frozen=True, slots=True)
class Held:
    """An image, which need not be built: it is on the registry, and says what it was released for."""

    target: str
    repository: str
    document: StoredManifest  # its manifest, or the index of its platforms

    @property
    def digest(self) -> str:
        return self.document.descriptor.digest


def held(
    plan: Plan,
    targets: Iterable[str],
    fingerprints: Mapping[str, str],
    registry: str,
    console: Console,
    ca_bundle: str = "",
    provenance: bool = False,
    seconds: float = SECONDS,
) -> tuple[Held, ...]:
    """The targets that a registry has released images of, read and checked; what is in doubt is
    left out, and said.

    As `missing`, and with what a matrix need not know: the image under the tag has the digest that
    the tag gave, and states the target's fingerprint (see `statement`). `provenance`: an image
    without counts as absent.
    """
    asked = missing(plan, targets, fingerprints, registry, lambda _: None, ca_bundle, seconds)
    found = {each.target: each for each in asked}
    repositories = {
        name: f"{registry}/{plan.target(name).repository}"
        for name, each in found.items()
        if each.state == "held"
    }

    def read(target: str, repository: ImageRepository) -> StoredManifest | None:
        image = repository.document(found[target].digest)
        if image is None:
            raise RegistryError("no image", why="has a tag of no image")
        try:
            ours = stated(repository, image.descriptor.digest, fingerprints[target])
            attested = _attested(image)
        except (ValueError, TypeError, AttributeError, KeyError):
            raise RegistryError("no JSON of the OCI", why="answers what cannot be read") from None
        if not ours:
            raise RegistryError(
                "no statement", why="has an image that does not say that it was released for this"
            )
        return image if attested or not provenance else None

    read_ones = answers(repositories, read, ca_bundle, seconds)
    unread = (
        doubted(name, each) for name, each in read_ones.items() if isinstance(each, RegistryError)
    )
    told((*asked, *unread), console)
    return tuple(
        Held(name, repositories[name], each)
        for name, each in read_ones.items()
        if isinstance(each, StoredManifest)
    )


def retag(
    images: Iterable[Held], names: Mapping[str, str], ca_bundle: str = "", seconds: float = SECONDS
) -> None:
    """Give images that a registry has their names of this version, target -> REPOSITORY:TAG.

    Digests stay, so what is attached to the images stays attached. Raises BuildError with the
    registry's words.
    """
    by_name = {image.target: image for image in images}

    def put(target: str, repository: ImageRepository) -> None:
        repository.put(names[target].rpartition(":")[2], by_name[target].document)

    done = answers(
        {name: image.repository for name, image in by_name.items()}, put, ca_bundle, seconds
    )
    if failed := [
        f"{names[name]}: {error}"
        for name, error in done.items()
        if isinstance(error, RegistryError)
    ]:
        raise BuildError(
            "\n".join(("images that the registry has could not be tagged", *failed)),
            "the same command goes on from here; without `--missing` it builds and pushes them",
        )


def _attested(image: StoredManifest) -> bool:
    """Whether an index holds BuildKit's attestations beside its images."""
    if image.descriptor.media_type not in INDEXES:
        return False
    entries = image.read().get("manifests") or []
    kinds = {(each.get("annotations") or {}).get("vnd.docker.reference.type") for each in entries}
    return "attestation-manifest" in kinds
