"""What a registry has of a fleet by fingerprint, and its names of a new version: the same bytes under
another tag, nothing pulled and nothing built. What is in doubt counts as missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from slimbake.console import Console
from slimbake.errors import BuildError, SetupError
from slimbake.fingerprint.model import fingerprint_tag
from slimbake.inside.lines import some
from slimbake.plan.model import Plan
from slimbake.registry import ImageRepository
from slimbake.registry.address import endpoint
from slimbake.registry.documents import (
    CREATED,
    StoredManifest,
    platform_manifests,
)
from slimbake.registry.errors import RegistryError
from slimbake.registry.together import ask_together
from slimbake.release.sbom import MEDIA_TYPE as SBOM
from slimbake.release.statement import stated

T = TypeVar("T")

SECONDS = 60.0
"""For the answers to one question about all images: a registry that needs more is not asked on."""
THREADS = 16
_NAMED = 3  # images that a line about doubts names for each reason


@dataclass(frozen=True, slots=True)
class OnRegistry:
    """An image, which need not be built: it is on the registry, and says what it was released for."""

    target: str
    repository: str
    document: StoredManifest  # its manifest, or the index of its platforms

    @property
    def digest(self) -> str:
        return self.document.descriptor.digest

    @property
    def reference(self) -> str:
        """REPOSITORY@DIGEST."""
        return f"{self.repository}@{self.digest}"


def on_registry(
    plan: Plan,
    targets: Iterable[str],
    fingerprints: Mapping[str, str],
    registry: str,
    console: Console,
    ca_bundle: str = "",
) -> tuple[OnRegistry, ...]:
    """The images of these services and bases that a registry has, in order, read and checked.

    `fingerprints`: what `registry_fingerprints` gives; what has none is missing. One question for
    each, several at once; what is there has to state the target's fingerprint (see `statement`).
    Doubts are said, in one line; nothing that the registry does or leaves undone is raised.
    """
    repositories = {}
    for name in targets:
        if name in fingerprints:
            repositories[name] = f"{registry}/{plan.target(name).repository}"

    def read(target: str, repository: ImageRepository) -> StoredManifest | None:
        return _checked(repository, fingerprints[target])

    answers = ask_each(repositories, read, ca_bundle, SECONDS)
    say_doubts(answers, console)
    images = []
    for name, answer in answers.items():
        if isinstance(answer, StoredManifest):
            images.append(OnRegistry(name, repositories[name], answer))
    return tuple(images)


def released_images(
    names: Mapping[str, str],
    ca_bundle: str = "",
    hint: str = "`slimbake bake --push` releases them; `--tag` says which",
    *,
    required: bool = True,
) -> tuple[OnRegistry, ...]:
    """What a registry has under these names, target -> REPOSITORY:TAG or REPOSITORY@DIGEST, read.

    Raises SetupError with its own words, and where `required` is set for what it does not have.
    """
    repositories = {}
    references = {}
    for target, name in names.items():
        separator = "@" if "@" in name else ":"
        repositories[target], _, references[target] = name.rpartition(separator)

    def read(target: str, repository: ImageRepository) -> StoredManifest | None:
        return repository.document(references[target])

    images = []
    faults = []
    for target, answer in ask_each(repositories, read, ca_bundle, SECONDS).items():
        if isinstance(answer, StoredManifest):
            images.append(OnRegistry(target, repositories[target], answer))
        elif answer:
            faults.append(f"{names[target]}: {answer}")
            hint = answer.hint
        elif required:
            faults.append(f"{names[target]}: the registry has none")
    if faults:
        raise SetupError("\n".join(faults), hint)
    return tuple(images)


def attached_sboms(images: Iterable[OnRegistry], ca_bundle: str = "") -> dict[str, dict[str, str]]:
    """The SBOMs that are attached to images of a registry: target -> platform -> text.

    The only platform is "". Raises RegistryError.
    """
    by_name = {image.target: image for image in images}

    def read(target: str, repository: ImageRepository) -> dict[str, str]:
        texts = {}
        for platform, manifest in platform_manifests(by_name[target].document).items():
            text = _attached_sbom(repository, manifest.digest)
            if text:
                texts[platform] = text
        return texts

    sboms = {}
    for name, answer in ask_each(_repositories(by_name), read, ca_bundle, SECONDS).items():
        if isinstance(answer, RegistryError):
            raise answer
        sboms[name] = answer
    return sboms


def _repositories(images: Mapping[str, OnRegistry]) -> dict[str, str]:
    return {name: image.repository for name, image in images.items()}


def _attached_sbom(repository: ImageRepository, digest: str) -> str:
    """The SBOM that was attached last to a manifest; "" where there is none."""
    sboms: dict[str, str] = {}  # its digest, by the time when it was made
    for referrer in repository.referrers(digest):
        if referrer.get("artifactType") == SBOM:
            created = (referrer.get("annotations") or {}).get(CREATED, "")
            sboms.setdefault(created, str(referrer["digest"]))
    if not sboms:
        return ""
    digest = sboms[max(sboms)]
    blob = ""
    artifact = repository.document(digest)
    if artifact:
        with contextlib.suppress(KeyError, IndexError, TypeError):
            blob = str(repository.read(artifact)["layers"][0]["digest"])
    if not blob:
        raise RegistryError(f"{digest} is no SBOM", why="has an SBOM of no content")
    return repository.blob(blob).decode()


def retag(images: Iterable[OnRegistry], names: Mapping[str, str], ca_bundle: str = "") -> None:
    """Give images that a registry has their names of this version, target -> REPOSITORY:TAG.

    Digests stay, so what is attached to the images stays attached. Raises BuildError with the
    registry's words.
    """
    by_name = {image.target: image for image in images}

    def put(target: str, repository: ImageRepository) -> None:
        repository.put(names[target].rpartition(":")[2], by_name[target].document)

    lines = ["images that the registry has could not be tagged"]
    for name, answer in ask_each(_repositories(by_name), put, ca_bundle, SECONDS).items():
        if isinstance(answer, RegistryError):
            lines.append(f"{names[name]}: {answer}")
    if len(lines) > 1:
        raise BuildError(
            "\n".join(lines),
            "the same command goes on from here; without `--missing` it builds and pushes them",
        )


def _checked(repository: ImageRepository, fingerprint: str) -> StoredManifest | None:
    """The image that was released for a fingerprint; None where there is none. Raises
    RegistryError.
    """
    image = repository.document(fingerprint_tag(fingerprint))
    if image and not stated(repository, image.descriptor.digest, fingerprint):
        raise RegistryError(
            "no statement", why="has an image that does not say that it was released for this"
        )
    return image


def ask_each(
    repositories: Mapping[str, str],
    ask: Callable[[str, ImageRepository], T],
    ca_bundle: str,
    seconds: float,
) -> dict[str, T | RegistryError]:
    """What a registry answers for each image, or why it gives no answer that can be used.

    `repositories`: target -> repository, all of one registry; `ask`: what is asked of each, on one
    of many threads.
    """
    from slimbake.registry.session import Host

    if not repositories:
        return {}
    where = endpoint(next(iter(repositories.values())))
    (host,) = ask_together([lambda: Host(where, ca_bundle)], seconds, 1)
    if isinstance(host, RegistryError):
        return dict.fromkeys(repositories, host)
    with contextlib.closing(host):
        calls = []
        for name, repository in repositories.items():
            calls.append(partial(ask, name, ImageRepository(repository, host=host)))
        return dict(zip(repositories, ask_together(calls, seconds, THREADS), strict=True))


def say_doubts(answers: Mapping[str, object], console: Console) -> None:
    """Say in one line which targets are built to be sure, and why."""
    reasons: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if isinstance(answer, RegistryError):
            reasons.setdefault(answer.why, []).append(name)
    if reasons:
        parts = (f"{some(names, _NAMED)}: the registry {why}" for why, names in reasons.items())
        console.say(f"built to be sure: {'; '.join(parts)}")
